"""Manifests of Custom Labels as they are given: every line counted, valid ones kept, what is wrong with others told.

Nothing here raises for a line. What is wrong with a manifest as a whole is in :mod:`vigia_training.domain.rules`.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice
from sys import intern
from types import MappingProxyType
from typing import Any

from vigia_contracts.ground_truth import (
    DUPLICATE_SOURCE_REF,
    Line,
    LineLimits,
    Problem,
    dropped,
    problem,
    read_line,
    with_errors,
)
from vigia_training.domain.annotations import Annotation, Boxed, Boxes
from vigia_training.domain.errors import BadData
from vigia_training.domain.text import Text, opened, size_of

#: What is wrong with a manifest as a file, before any of its lines is looked at.
UNREADABLE = "The manifest file extension or contents are invalid."
EMPTY = "The manifest file is empty."
TOO_LARGE = "The manifest file size exceeds the maximum supported size."
NO_ACCESS = "The S3 bucket permissions are incorrect."
NO_OUTPUT = "Unable to write to output S3 bucket."


#: Bytes of a line for each character that it may have, and of a longer one how many are passed over at once.
_LONGER = 16
_SKIPPED = 1024 * 1024
#: Of an image already seen this is kept, which is shorter than most addresses.
_DIGEST_BYTES = 16

#: Shared by all annotations: nothing asks for more of a line than what was read of it.
_NO_FIELDS: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ManifestLimits:
    """What may be given: bytes of a manifest, its lines, labels in it; bytes of an image, its longer side in shorter
    ones; and images with the same label that test. ``line``: the same of a line.
    """

    manifest_bytes: int = 1024**3
    lines: int = 250_000
    labels: int = 250
    image_bytes: int = 15 * 1024**2
    aspect: float = 20.0
    tests_of_label: int = 1000
    line: LineLimits = field(default_factory=LineLimits)


@dataclass(slots=True)
class Given:
    """One manifest. Lines count from 1, blank ones too.

    ``valid``: lines that can be used, until their images are looked at; ``wrong``: what is wrong with lines, a warning
    or a lost box included; ``invalid`` and ``ignored``: lines that cannot be used, and those without anything to use.
    ``terminal`` of the invalid ones a dataset would have dropped; ``buckets`` hold the images. ``overfull``: there are
    more lines, which were not read.
    """

    text: Text
    total: int = 0
    valid: list[Annotation] = field(default_factory=list)
    wrong: dict[int, tuple[Problem, ...]] = field(default_factory=dict)
    invalid: set[int] = field(default_factory=set)
    ignored: set[int] = field(default_factory=set)
    terminal: int = 0
    buckets: set[str] = field(default_factory=set)
    overfull: bool = False

    def reject(self, annotation: Annotation, problem: Problem) -> None:
        """Makes a valid line, still in ``valid``, an invalid one."""
        self.wrong[annotation.line] = (*self.wrong.get(annotation.line, ()), problem)
        self.invalid.add(annotation.line)

    @property
    def with_errors(self) -> list[int]:
        """Numbers of lines with an error, ascending; lines that only lost a box are among them."""
        return sorted(number for number, found in self.wrong.items() if any(not one.warning for one in found))


def read_given(text: Text, limits: ManifestLimits) -> Given:
    """Reads a manifest. BadData for one that is no manifest, or has no line.

    In memory are the valid lines' annotations; of the text one line at a time.
    """
    if size_of(text) > limits.manifest_bytes:
        raise BadData(TOO_LARGE)
    given = Given(text)
    seen: set[bytes] = set()
    parsed, blank = 0, True
    for number, raw in enumerate(lines_of(text, _most_bytes(limits)), 1):
        blank = blank and not raw.removeprefix(b"\xef\xbb\xbf").strip()
        if number > limits.lines:
            given.overfull = True
            break
        given.total = number
        line = read_line(raw, limits.line)
        parsed += line.fields is not None
        _take(given, number, line, seen)
    if blank:
        raise BadData(EMPTY)
    if not parsed:
        raise BadData(UNREADABLE)
    return given


def lines_of(text: Text, most_bytes: int) -> Iterator[bytes]:
    """The lines, without their ends; what follows the last line end is a line where it is not blank.

    Of a line with more than ``most_bytes`` so many are given.
    """
    with opened(text) as file:
        while line := file.readline(most_bytes + 1):
            ended, blank = line.endswith(b"\n"), not line.strip()
            while not ended and (more := file.readline(_SKIPPED)):
                ended, blank = more.endswith(b"\n"), blank and not more.strip()
            if ended or not blank:
                yield line.removesuffix(b"\n")[:most_bytes]


def with_validation(given: Given, limits: ManifestLimits, wanted: Container[int]) -> Iterator[bytes]:
    """Those of the manifest's lines, by number, with what is wrong written into them, and with their ends."""
    for number, raw in enumerate(islice(lines_of(given.text, _most_bytes(limits)), given.total), 1):
        if number in wanted:
            line = read_line(raw, limits.line)
            found = given.wrong.get(number)
            yield (with_errors(line.fields, found) if found else line.text).encode() + b"\n"


def _most_bytes(limits: ManifestLimits) -> int:
    """What is read of a line. None that is longer is taken, whatever an earlier validation had put in."""
    return limits.line.characters * _LONGER


def _take(given: Given, number: int, line: Line, seen: set[bytes]) -> None:
    """``seen``: digests of the images' addresses so far. A dataset would drop a line with one that was there before."""
    digest = blake2b((line.source_ref or "").encode(), digest_size=_DIGEST_BYTES).digest()
    if digest in seen:
        given.wrong[number] = (*line.problems, problem(DUPLICATE_SOURCE_REF))
        given.invalid.add(number)
        given.terminal += 1
        return
    if line.problems:
        given.wrong[number] = line.problems
    if line.source_ref is not None:
        seen.add(digest)
        given.buckets.add(line.source_ref.split("/", 3)[2])
    if line.ignored:
        given.ignored.add(number)
    elif line.invalid:
        given.invalid.add(number)
        given.terminal += dropped(line)
    else:
        assert line.source_ref is not None
        boxes = Boxes(Boxed(box.label, box.left, box.top, box.width, box.height) for box in line.boxes)
        part = (line.fields or {}).get("part-id")
        given.valid.append(
            Annotation(
                line=number,
                uri=line.source_ref,
                labels=tuple(map(intern, line.image_labels)),
                boxes=boxes or None,
                size=line.size if boxes else None,
                fields=_NO_FIELDS,
                part=str(part) if isinstance(part, str | int) and part != "" else None,
            )
        )
