"""Manifest lines (JSON Lines) to entries.

Lenient where the getting-started set of AWS is: no background in the colour map, no ``confidence``, any date text, any
case of hex colours, keys in any order and of any name. Lines of an unknown class are unlabelled and left out.

One key is Vigia's own: ``part-id``, text or a whole number, says which physical part an image shows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from vigia_training.domain.errors import BadData

ClassName = Literal["normal", "anomaly"]
Rgb = tuple[int, int, int]

_CLASSIFICATION = "groundtruth/image-classification"
_SEGMENTATION = "groundtruth/semantic-segmentation"
_PART = "part-id"
_WHITE: Rgb = (255, 255, 255)
_HEX = re.compile(r"^#[0-9a-fA-F]{6}$")
_URI = re.compile(r"^s3:\s*//(?P<bucket>[^/]+)/(?P<key>.+)$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Mask:
    """Where a mask lies and what its colours mean. White is background whether or not the map says so."""

    uri: str
    labels: Mapping[Rgb, str]
    background: frozenset[Rgb]


@dataclass(frozen=True, slots=True)
class Entry:
    """One labelled image.

    ``line`` counts from 1; ``fields`` is the line as given, for the evaluation manifest. ``part``: which physical part
    is shown, where the line says so.
    """

    line: int
    uri: str
    class_name: ClassName
    label_key: str
    mask: Mask | None = None
    part: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def anomalous(self) -> bool:
        return self.class_name == "anomaly"


def parse_manifest(text: bytes) -> list[Entry]:
    """The labelled entries of a manifest. BadData names the line that breaks the format."""
    try:
        lines = text.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise BadData(f"the manifest is not UTF-8: {error}") from error
    return [entry for number, line in enumerate(lines, 1) if line.strip() for entry in _parse_line(number, line)]


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and key of ``s3://bucket/key``; BadData for anything else."""
    match = _URI.match(uri)
    if match is None:
        raise BadData(f"{uri!r} is not an s3://bucket/key address")
    return match["bucket"].strip(), match["key"]


def read_line(line: str, bad: Callable[[str], BadData]) -> tuple[dict[str, Any], str]:
    """The members of a manifest line, and the address of its image. What ``bad`` makes of a problem is raised."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise bad(f"not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise bad("not a JSON object")
    uri = fields.get("source-ref")
    if not isinstance(uri, str) or not uri.strip():
        raise bad("source-ref is missing")
    return fields, uri.strip()


def part_of(fields: Mapping[str, Any], bad: Callable[[str], BadData]) -> str | None:
    """Which physical part a line says that its image shows."""
    part = fields.get(_PART)
    if part is None:
        return None
    if isinstance(part, bool) or not isinstance(part, str | int) or part == "":
        raise bad(f"{_PART} is neither a text nor a whole number")
    return str(part)


def _parse_line(number: int, line: str) -> Iterator[Entry]:
    def bad(problem: str) -> BadData:
        return BadData(f"manifest line {number}: {problem}")

    fields, uri = read_line(line, bad)
    label_key = _key_of_type(fields, _CLASSIFICATION)
    if label_key is None:
        return
    class_name = fields[f"{label_key}-metadata"].get("class-name")
    name = class_name.lower() if isinstance(class_name, str) else ""
    if name not in ("normal", "anomaly"):
        return
    mask = _mask(fields, bad) if name == "anomaly" else None
    yield Entry(
        line=number,
        uri=uri,
        class_name="anomaly" if name == "anomaly" else "normal",
        label_key=label_key,
        mask=mask,
        part=part_of(fields, bad),
        fields=fields,
    )


def _key_of_type(fields: Mapping[str, Any], kind: str) -> str | None:
    """The key whose ``<key>-metadata`` is of the given type."""
    for name, value in fields.items():
        if name.endswith("-metadata") and isinstance(value, dict) and value.get("type") == kind:
            return name.removesuffix("-metadata")
    return None


def _mask(fields: Mapping[str, Any], bad: Any) -> Mask | None:
    key = _key_of_type(fields, _SEGMENTATION)
    if key is None:
        return None
    uri = fields.get(key)
    if not isinstance(uri, str) or not uri.strip():
        raise bad(f"{key} is missing")
    color_map = fields[f"{key}-metadata"].get("internal-color-map")
    if not isinstance(color_map, dict) or not color_map:
        raise bad(f"{key}-metadata has no internal-color-map")
    labels: dict[Rgb, str] = {}
    background = {_WHITE}
    for index, item in color_map.items():
        name, color = (item.get("class-name"), item.get("hex-color")) if isinstance(item, dict) else (None, None)
        if not isinstance(name, str) or not name or not isinstance(color, str) or not _HEX.match(color):
            raise bad(f"entry {index!r} of the colour map needs a class-name and a hex-color like #23a436")
        rgb = _rgb(color)
        if name.upper() == "BACKGROUND":
            background.add(rgb)
        elif rgb == _WHITE:
            raise bad(f"label {name!r} has the background's colour {color}")
        elif labels.setdefault(rgb, name) != name:
            raise bad(f"labels {labels[rgb]!r} and {name!r} have the same colour {color}")
    return Mask(uri.strip(), labels, frozenset(background))


def _rgb(color: str) -> Rgb:
    red, green, blue = bytes.fromhex(color[1:])
    return red, green, blue


def hex_color(rgb: Rgb) -> str:
    """``#RRGGBB``, upper case as the answers print it."""
    return "#{:02X}{:02X}{:02X}".format(*rgb)
