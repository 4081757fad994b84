"""One manifest line: read leniently, written the way the service itself writes it.

Keys of labels have free names and their values mean nothing: ``class-name`` and ``internal-color-map`` decide. What a
line says beyond that is named in its notes, never silently lost.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Protocol

#: The longest line that a dataset takes, characters.
LONGEST: Final = 8192
#: The longest that is read, bytes. Written anew, a line may be shorter than it came.
LONGEST_READ: Final = 8 * LONGEST

_CLASSIFICATION: Final = "groundtruth/image-classification"
_SEGMENTATION: Final = "groundtruth/semantic-segmentation"
_METADATA: Final = "-metadata"
_HEX: Final = re.compile(r"#[0-9a-fA-F]{6}")
_WHITE: Final = 0xFFFFFF
_CLASSES: Final = {"normal": False, "anomaly": True}
#: What is said of an image without a label.
UNLABELLED: Final = "unlabelled"


class Why(StrEnum):
    """Why something did not come in, or came in otherwise than it was written."""

    # the image stays out
    NOT_A_LINE = "not_a_line"
    AMBIGUOUS = "ambiguous_labels"
    LINE_TOO_LONG = "line_too_long"
    MISSING = "missing"
    UNREADABLE = "unreadable"
    TOO_LARGE = "too_large"
    TOO_SMALL = "too_small"
    UNDECODABLE = "undecodable"
    OTHER_SIZE = "other_size"
    TOO_LONG_A_SHAPE = "too_long_a_shape"
    DUPLICATE = "duplicate"
    # the image comes in, its mask stays out
    MASK_MISSING = "mask_missing"
    MASK_UNREADABLE = "mask_unreadable"
    MASK_NOT_PNG = "mask_not_png"
    MASK_OTHER_SIZE = "mask_other_size"
    MASK_COLORS = "mask_colors"
    MASK_MAP = "mask_map"
    MASK_OF_NORMAL = "mask_of_normal"
    # it comes in, and something is worth knowing
    UNLABELLED = "unlabelled"
    UNKNOWN_KEYS = "unknown_keys"
    CLASS_CASE = "class_case"
    COMPLETED = "completed"
    IN_BOTH = "in_both_datasets"
    PREDICTIONS = "predictions_left_away"
    LABEL_ERRORS = "label_errors"


@dataclass(frozen=True, slots=True)
class Note:
    """Something about one image: why, and what exactly."""

    why: Why
    detail: str = ""


class LineError(ValueError):
    """The line cannot become an image of a dataset. ``ref``: the image that it names, where it names one."""

    def __init__(self, why: Why, detail: str) -> None:
        super().__init__(detail)
        self.why = why
        self.ref = ""


@dataclass(frozen=True, slots=True)
class Mask:
    """Where a mask is said to be. ``colors``: the RGB codes (0xRRGGBB) that may be in it, to label or background."""

    ref: str
    colors: Mapping[int, str]
    metadata: Mapping[str, Any]


class AnyLine(Protocol):
    """A line of either service. ``said``: its labels in words, ``unlabelled`` without any."""

    @property
    def ref(self) -> str: ...

    @property
    def mask(self) -> Mask | None: ...

    @property
    def notes(self) -> tuple[Note, ...]: ...

    @property
    def said(self) -> str: ...

    def write(self, image: str, mask: str | None) -> str:
        """The line as JSON for an image (and a mask) that now lie elsewhere; LineError when it would be too long."""


@dataclass(frozen=True, slots=True)
class Line:
    """What a line of Lookout for Vision says. ``anomaly`` None: no class. ``metadata``: of the class, as written."""

    ref: str
    anomaly: bool | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    mask: Mask | None = None
    notes: tuple[Note, ...] = ()

    @property
    def said(self) -> str:
        return {None: UNLABELLED, False: "normal", True: "anomaly"}[self.anomaly]

    def write(self, image: str, mask: str | None) -> str:
        return write_line(self, image, mask)


def read_line(raw: bytes) -> Line:
    """The line; LineError. A mask that cannot be used is left away with a note."""
    fields, ref = _fields(raw)
    notes: list[Note] = []
    taken = {"source-ref"}
    try:
        anomaly, metadata = _class(fields, taken, notes)
        mask = _mask(fields, taken, notes)
    except LineError as error:
        error.ref = ref
        raise
    if mask is not None and anomaly is not True:
        notes.append(Note(Why.MASK_OF_NORMAL, "only an anomalous image has a mask"))
        mask = None
    # AWS adds this one by itself where a manifest has been through its console.
    unknown = sorted(set(fields) - taken - {"source-ref-metadata"})
    if unknown:
        notes.append(Note(Why.UNKNOWN_KEYS, ", ".join(unknown)[:200]))
    return Line(ref, anomaly, metadata, mask, tuple(notes))


def by_folder(ref: str, anomaly: bool | None) -> Line:
    """The line of an image whose class is the name of its folder."""
    if anomaly is None:
        return Line(ref, notes=(Note(Why.UNLABELLED, "not in a folder named normal or anomaly"),))
    name = "anomaly" if anomaly else "normal"
    metadata = {"class-name": name, "job-name": "labeling-job/auto-label"}
    return Line(ref, anomaly, {**metadata, "human-annotated": "yes", "type": _CLASSIFICATION})


def write_line(line: Line, image: str, mask: str | None) -> str:
    """The line as JSON for an image (and a mask) that now lie elsewhere; LineError when it would be too long."""
    fields: dict[str, Any] = {"source-ref": image}
    if line.anomaly is not None:
        fields["anomaly-label"] = int(line.anomaly)
        fields["anomaly-label-metadata"] = dict(line.metadata)
    if line.mask is not None and mask is not None:
        fields["anomaly-mask-ref"] = mask
        fields["anomaly-mask-ref-metadata"] = dict(line.mask.metadata)
    text = json.dumps(fields)
    if len(text) > LONGEST:
        raise LineError(Why.LINE_TOO_LONG, f"{len(text)} characters; a dataset takes {LONGEST}")
    return text


def lines_of(chunks: Iterator[bytes], longest: int = LONGEST_READ) -> Iterator[tuple[int, bytes]]:
    """Numbered lines, from 1, that are not blank. Of a line longer than so many bytes only its beginning is given."""
    rest = b""
    number = 0
    skipping = False
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            number += 1
            if not skipping and line.strip():
                yield number, line
            skipping = False
        if skipping:
            rest = b""
        elif len(rest) > longest:
            yield number + 1, rest
            rest, skipping = b"", True
    if not skipping and rest.strip():
        yield number + 1, rest


def is_text(value: str) -> bool:
    """Whether UTF-8 and a database can hold it: JSON can escape NUL and halves of surrogate pairs."""
    try:
        return b"\0" not in value.encode()
    except UnicodeEncodeError:
        return False


def _fields(raw: bytes) -> tuple[dict[str, Any], str]:
    """What a line says, and the image that it names; LineError."""
    if len(raw) > LONGEST_READ:
        raise LineError(Why.LINE_TOO_LONG, f"more than {LONGEST_READ} bytes")
    try:
        fields = json.loads(raw.decode("utf-8-sig"))
        clean = all(map(is_text, _texts(fields)))
    except (ValueError, RecursionError) as error:
        raise LineError(Why.NOT_A_LINE, "not a JSON object in UTF-8") from error
    if not isinstance(fields, dict):
        raise LineError(Why.NOT_A_LINE, "not a JSON object")
    if not clean:
        raise LineError(Why.NOT_A_LINE, "a text in it has a character that is not allowed")
    ref = fields.get("source-ref")
    if not isinstance(ref, str) or not ref.strip():
        raise LineError(Why.NOT_A_LINE, "source-ref is missing or no text")
    return fields, ref.strip()


def _texts(value: object) -> Iterator[str]:
    """Every text in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _class(fields: dict[str, Any], taken: set[str], notes: list[Note]) -> tuple[bool | None, dict[str, Any]]:
    """Whether the image is anomalous, and the metadata that says so."""
    found = [key for key in _keys(fields, _CLASSIFICATION, "class-name") if not _is_prediction(key)]
    if not found:
        notes.append(Note(Why.UNLABELLED, "no class"))
        return None, {}
    if len({str(fields[key + _METADATA].get("class-name")) for key in found}) > 1:
        raise LineError(Why.AMBIGUOUS, f"more than one class: {', '.join(sorted(found))}"[:200])
    key = found[0]  # any others say the same
    metadata = fields[key + _METADATA]
    taken |= {key, key + _METADATA}
    name = metadata.get("class-name")
    anomaly = _CLASSES.get(name.lower()) if isinstance(name, str) else None
    if anomaly is None:
        notes.append(Note(Why.UNLABELLED, f"class-name {str(name)[:80]!r}"))
        return None, {}
    if name.lower() != name:
        notes.append(Note(Why.CLASS_CASE, f"class-name {name}"))
    return anomaly, _completed({**metadata, "class-name": name.lower()}, key, _CLASSIFICATION, notes)


def _mask(fields: dict[str, Any], taken: set[str], notes: list[Note]) -> Mask | None:
    found = _keys(fields, _SEGMENTATION, "internal-color-map")
    if not found:
        return None
    if len(found) > 1:
        raise LineError(Why.AMBIGUOUS, f"more than one mask: {', '.join(sorted(found))}"[:200])
    [key] = found
    taken |= {key, key + _METADATA}
    ref = fields.get(key)
    if not isinstance(ref, str) or not ref.strip():
        notes.append(Note(Why.MASK_MISSING, f"{key} says not where it is"))
        return None
    try:
        colors = _colors(fields[key + _METADATA].get("internal-color-map"))
    except ValueError as error:
        notes.append(Note(Why.MASK_MAP, str(error)))
        return None
    return Mask(ref.strip(), colors, _completed(dict(fields[key + _METADATA]), key, _SEGMENTATION, notes))


def _colors(given: object) -> dict[int, str]:
    """RGB codes to class names. White is background whether or not the map says so; ValueError."""
    if not isinstance(given, dict) or not given:
        raise ValueError("no internal-color-map")
    colors: dict[int, str] = {_WHITE: "background"}
    for index, item in given.items():
        where = f'internal-color-map entry "{str(index)[:40]}"'
        name, code = (item.get("class-name"), item.get("hex-color")) if isinstance(item, dict) else (None, None)
        if not isinstance(name, str) or not 1 <= len(name) <= 256:
            raise ValueError(f"{where} has no class-name of 1 to 256 characters")
        if not isinstance(code, str) or _HEX.fullmatch(code) is None:
            raise ValueError(f"{where} has no hex-color of the form #rrggbb")
        known = colors.setdefault(int(code[1:], 16), name)
        if known != name and not (known.lower() == "background" == name.lower()):
            raise ValueError(f"{where}: {code} stands for {known} and for {name}"[:200])
    return colors


def _keys(fields: dict[str, Any], kind: str, mark: str) -> list[str]:
    """Names of the labels of a kind: those whose metadata has the kind's type, or its mark and no other type."""
    return [
        name.removesuffix(_METADATA)
        for name, value in fields.items()
        if name.endswith(_METADATA)
        and isinstance(value, dict)
        and value.get("type", kind) == kind
        and ("type" in value or mark in value)
    ]


def _is_prediction(key: str) -> bool:
    """What a model said, in a file of its evaluation: no label."""
    return key.endswith("-detected")


def _completed(metadata: dict[str, Any], key: str, kind: str, notes: list[Note]) -> dict[str, Any]:
    """With what a dataset insists on."""
    missing = {"type": kind} if "type" not in metadata else {}
    if metadata.get("human-annotated") not in ("yes", "no"):
        missing["human-annotated"] = "yes"
    if missing:
        notes.append(Note(Why.COMPLETED, f"{key}{_METADATA}: {', '.join(sorted(missing))}"))
    return metadata | missing
