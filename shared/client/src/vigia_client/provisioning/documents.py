"""YAML and JSON as plain values that remember on which line they stand.

Stricter than YAML where a mistake would pass unseen: a key that comes twice is refused, keys are texts as written, and
what looks like a date, a time, an octal number or a ``no`` is a text. Bounded where YAML is not: aliases cannot unfold
without end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import yaml
from yaml.reader import ReaderError

from vigia_client.errors import ActionableError

_LARGEST: Final = 4 * 1024 * 1024
_MOST_VALUES: Final = 200_000
_DEEPEST: Final = 60
_INT: Final = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT: Final = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
_PREFIX: Final = "tag:yaml.org,2002:"

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in a file. ``line`` from 1."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


class FileError(ActionableError):
    """Files say something that cannot be; all that was found."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Document:
    """One document: its value, of dict, list, str, int, float, bool and None, and the line of every part of it."""

    file: str
    value: Any
    lines: dict[Path, int]

    def line(self, path: Path) -> int:
        """The line of the part of that path, or of the nearest part around it."""
        while path not in self.lines and path:
            path = path[:-1]
        return self.lines.get(path, 1)

    def problem(self, path: Path, text: str) -> Problem:
        return Problem(self.file, self.line(path), text)


def read_documents(text: str, file: str) -> Iterator[Document]:
    """The documents of a file that are not empty; FileError.

    A short tag of CloudFormation, as in ``!Sub name``, is read as its long form ``{"Fn::Sub": "name"}``.
    """
    if len(text) > _LARGEST:
        raise FileError([Problem(file, 1, f"larger than {_LARGEST} characters")])
    if text.lstrip().startswith(("{", "[")):
        text = text.replace("\t", " ")  # JSON may be indented by tabs, and has none inside its texts
    try:
        for node in yaml.compose_all(text, Loader=yaml.SafeLoader):
            reader = _Reader(file)
            value = None if node is None else reader.value(node, (), 0)
            if value is not None:
                yield Document(file, value, reader.lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise FileError([Problem(file, 1 if mark is None else mark.line + 1, error.problem or "not YAML")]) from error
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise FileError([Problem(file, line, "a character that YAML does not allow")]) from error
    except yaml.YAMLError as error:
        raise FileError([Problem(file, 1, str(error).splitlines()[0])]) from error
    except (RecursionError, ValueError, OverflowError) as error:
        raise FileError([Problem(file, 1, f"not YAML that is understood: {str(error)[:100]}")]) from error


class _Reader:
    """Nodes to values."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._count = 0
        self.lines: dict[Path, int] = {}

    def value(self, node: yaml.Node, path: Path, depth: int) -> Any:
        self._count += 1
        if self._count > _MOST_VALUES or depth > _DEEPEST:
            raise self._error(node, "too many values, or too deep: aliases that contain themselves?")
        self.lines.setdefault(path, node.start_mark.line + 1)
        if node.tag.startswith("!") and node.tag != "!":
            return self._tagged(node, path, depth)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, number), depth + 1) for number, item in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, path: Path, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, item in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == f"{_PREFIX}merge":
                raise self._error(key, "a key is a text")
            name = self._text(key, key.value)
            if name in found:
                raise self._error(key, f"{name} is here twice")
            self.lines[(*path, name)] = key.start_mark.line + 1
            found[name] = self.value(item, (*path, name), depth + 1)
        return found

    def _scalar(self, node: yaml.Node) -> Any:
        kind, text = node.tag.removeprefix(_PREFIX), str(node.value)
        if kind == "null":
            return None
        if kind == "bool" and text.lower() in ("true", "false"):
            return text.lower() == "true"
        if kind == "int" and _INT.fullmatch(text):
            return int(text)
        if kind == "float" and _FLOAT.fullmatch(text):
            return float(text)
        if kind in ("str", "bool", "int", "float", "timestamp", "value", "!"):
            return self._text(node, text)
        raise self._error(node, f"a value of type {node.tag}")

    def _tagged(self, node: yaml.Node, path: Path, depth: int) -> dict[str, Any]:
        name = node.tag.removeprefix("!")
        untagged = type(node)(f"{_PREFIX}str", node.value, node.start_mark, node.end_mark)
        long = name if name in ("Ref", "Condition") else f"Fn::{name}"
        return {long: self.value(untagged, (*path, long), depth + 1)}

    def _text(self, node: yaml.Node, text: str) -> str:
        try:
            # JSON may write one character as two halves of a surrogate pair.
            whole = text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            whole = "\0"
        if "\0" in whole:
            raise self._error(node, "a character that is not allowed")
        return whole

    def _error(self, node: yaml.Node, text: str) -> FileError:
        return FileError([Problem(self._file, node.start_mark.line + 1, text)])
