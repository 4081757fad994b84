"""Reading manifests: JSON Lines in the shape of SageMaker Ground Truth, one image a line.

Strict where a mistake would train a wrong model, lenient where AWS was: the label key's name is free, its value is
ignored (``class-name`` decides), a class other than normal and anomaly imports the image unlabelled, and a colour map
may lack its background and its confidences, with any date text and any case of hexadecimal digits.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from vigia_registry.objects import Fence, S3Rights
from vigia_runtime.errors import AccessDenied
from vigia_runtime.objects import MOST_KEY_BYTES, usable_key

#: The longest line, characters.
LONGEST_LINE: Final = 8192
_LONGEST_LINE_BYTES: Final = LONGEST_LINE * 4
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"

_S3_URI = re.compile(r"s3://([0-9A-Za-z.\-_]{3,63})/(.+)", re.DOTALL)
_BROKEN_SCHEME = re.compile(r"s3\s*:\s*/\s*/")
_ORDINARY = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_HEX_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
_CLASSIFICATION: Final = "groundtruth/image-classification"
_SEGMENTATION: Final = "groundtruth/semantic-segmentation"
#: Keys that mean a label and a mask whatever stands in their metadata; others are known by their metadata.
_LABEL: Final = "anomaly-label"
_MASK: Final = "anomaly-mask-ref"
_CLASSES: Final = frozenset({"normal", "anomaly"})
_BACKGROUND: Final = "background"
_WHITE: Final = "#ffffff"
#: How much of a wrong value a message repeats, characters.
_SHOWN: Final = 100


class ManifestError(ValueError):
    """What is wrong with a manifest; the text names the line."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One image of a manifest. ``line`` is its JSON as written, ``labels`` the anomaly types its mask declares,
    ``places`` bucket and key of the image, and of the mask where there is one.

    Of Custom Labels ``labels`` are those of the whole image, ``box_labels`` those of its boxes, and ``errors`` what is
    wrong within the line: objects with ``code``, ``message`` and ``where``.
    """

    source_ref: str
    line: str
    anomaly_class: str | None
    labels: tuple[str, ...]
    places: tuple[tuple[str, str], ...]
    box_labels: tuple[str, ...] = ()
    labeled: bool | None = None
    errors: list[dict[str, Any]] | None = None

    @property
    def buckets(self) -> frozenset[str]:
        return frozenset(bucket for bucket, _ in self.places)


def bucket_of(source_ref: str) -> str:
    """The bucket of an S3 URI; ManifestError."""
    return _place(source_ref, "source-ref")[0]


async def read_entries(
    chunks: AsyncIterator[bytes],
    most: int,
    most_labels: int,
    bucket: str | None = None,
    fence: Fence | None = None,
    rights: S3Rights | None = None,
) -> AsyncIterator[Entry]:
    """Entries of a manifest that comes in pieces; ManifestError at the first thing that is wrong.

    Holds one line and the names of the images seen, never the manifest. ``most`` is the largest number of entries,
    ``most_labels`` that of anomaly labels on one mask, ``bucket`` the one that the images must be in, where it is
    decided already, ``fence`` what may be named of Vigia's own buckets, ``rights`` what of others.
    """
    seen: dict[str, int] = {}
    async for number, raw in _lines(chunks):
        entry = parse_line(raw, number)
        if entry.source_ref in seen:
            raise ManifestError(
                f"Line {number}: source-ref {entry.source_ref} is already on line {seen[entry.source_ref]}."
            )
        seen[entry.source_ref] = number
        if len(seen) > most:
            raise ManifestError(f"Line {number}: the dataset would have more than {most} images.")
        if len(entry.labels) > most_labels:
            raise ManifestError(
                f"Line {number}: the mask declares {len(entry.labels)} anomaly labels, more than {most_labels}."
            )
        for other in sorted(entry.buckets):
            bucket = bucket or other
            if other != bucket:
                raise ManifestError(
                    f"Line {number}: bucket {other} differs from bucket {bucket}; all images must be in one bucket."
                )
        for place in entry.places:
            if fence is not None and not fence.allows(*place):
                raise ManifestError(f"Line {number}: {fence.why(place[0])}.")
            if rights is not None:
                try:
                    rights.require("GetObject", *place)
                except AccessDenied as error:
                    raise ManifestError(f"Line {number}: {error.message}") from error
        yield entry
    if not seen:
        raise ManifestError("The manifest has no entries.")


def parse_line(raw: bytes, number: int) -> Entry:
    """The entry on one line; ManifestError names what is wrong."""
    try:
        line = raw.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise ManifestError(f"Line {number}: not UTF-8.") from error
    if len(line) > LONGEST_LINE:
        raise _too_long(number)
    try:
        fields = _DECODER.decode(line)
    except json.JSONDecodeError as error:
        raise ManifestError(f"Line {number}: not a JSON object ({error.msg} at character {error.pos + 1}).") from error
    except (ManifestError, RecursionError, ValueError) as error:  # ValueError: a number of thousands of digits
        why = f" ({error})" if isinstance(error, ManifestError) else ""
        raise ManifestError(f"Line {number}: not a JSON object{why}.") from error
    if not isinstance(fields, dict):
        raise ManifestError(f"Line {number}: not a JSON object.")
    try:
        return _entry(line, fields)
    except ManifestError as error:
        raise ManifestError(f"Line {number}: {error}") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        names = [name for name, _ in pairs]
        raise ManifestError(f"{_name(next(name for name in names if names.count(name) > 1))} is there twice")
    return fields


def _no_number(name: str) -> NoReturn:
    raise ManifestError(f"{name} is no JSON number")


#: Readers differ in what they make of a key that is there twice, and of NaN: such a line says nothing certain.
_DECODER: Final = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_number)


def _entry(line: str, fields: dict[str, Any]) -> Entry:
    source_ref = fields.get("source-ref")
    places = [_place(source_ref, "source-ref")]
    for name in (_LABEL, _MASK):
        if name in fields and not isinstance(fields.get(f"{name}-metadata"), dict):
            raise ManifestError(f"{name} has no {name}-metadata.")
    metadata = {key: value for key, value in fields.items() if key.endswith("-metadata") and isinstance(value, dict)}
    classes = _of_kind(metadata, _CLASSIFICATION, "class-name", _LABEL)
    masks = _of_kind(metadata, _SEGMENTATION, "internal-color-map", _MASK)
    if len(classes) > 1 or len(masks) > 1:
        several = classes if len(classes) > 1 else masks
        raise ManifestError(f"more than one classification or mask: {', '.join(map(_name, several))}.")
    anomaly_class: str | None = None
    for key, value in classes.items():
        anomaly_class = _class(fields, key, value)
    labels: tuple[str, ...] = ()
    for key, value in masks.items():
        labels = _labels(key, value)
        places.append(_place(fields.get(key.removesuffix("-metadata")), key.removesuffix("-metadata")))
    return Entry(
        source_ref=str(source_ref), line=line, anomaly_class=anomaly_class, labels=labels, places=tuple(places)
    )


def _of_kind(metadata: dict[str, Any], kind: str, mark: str, name: str) -> dict[str, Any]:
    return {
        key: value
        for key, value in metadata.items()
        if value.get("type") == kind or mark in value or key == f"{name}-metadata"
    }


def _class(fields: dict[str, Any], key: str, value: dict[str, Any]) -> str | None:
    label = key.removesuffix("-metadata")
    if isinstance(fields.get(label), bool) or not isinstance(fields.get(label), int | float | str):
        raise ManifestError(f"{_name(label)} is missing or neither a number nor a text.")
    _require(value, key, _CLASSIFICATION)
    name = value.get("class-name")
    if not isinstance(name, str):
        raise ManifestError(f"{_name(key)} has no class-name.")
    return name if name in _CLASSES else None


def _labels(key: str, value: dict[str, Any]) -> tuple[str, ...]:
    if not key.endswith("-ref-metadata"):
        raise ManifestError(f"{_name(key)}: the name of a mask's metadata must end in -ref-metadata.")
    _require(value, key, _SEGMENTATION)
    colors = value.get("internal-color-map")
    if not isinstance(colors, dict) or not colors:
        raise ManifestError(f"{_name(key)} has no internal-color-map.")
    names: dict[str, str] = {}
    for index, color in colors.items():
        where = f"internal-color-map entry {_name(index)}"
        if not isinstance(color, dict):
            raise ManifestError(f"{where} is not an object.")
        name, code = color.get("class-name"), color.get("hex-color")
        if not isinstance(name, str) or not 1 <= len(name) <= 256:
            raise ManifestError(f"{where} has no class-name of 1 to 256 characters.")
        _storable(name, where)
        if not isinstance(code, str) or _HEX_COLOR.fullmatch(code) is None:
            raise ManifestError(f"{where} has no hex-color of the form #rrggbb.")
        if name.upper() == "BACKGROUND":  # as training compares; lower() would make k of the Kelvin sign
            name = _BACKGROUND
        elif code.lower() == _WHITE:
            raise ManifestError(f"{where}: hex-color {code} is the background's.")
        if names.setdefault(code.lower(), name) != name:
            raise ManifestError(f"{where}: hex-color {code} stands for two classes.")
    return tuple(sorted(set(names.values()) - {_BACKGROUND}))


def _require(value: dict[str, Any], key: str, kind: str) -> None:
    if value.get("type") != kind:
        raise ManifestError(f'{_name(key)} has no type "{kind}".')
    if value.get("human-annotated") not in ("yes", "no"):
        raise ManifestError(f'{_name(key)} has no human-annotated of "yes" or "no".')


def _place(uri: object, name: str) -> tuple[str, str]:
    name = _name(name)
    if uri is None:
        raise ManifestError(f"{name} is missing.")
    if not isinstance(uri, str):
        raise ManifestError(f"{name} is not a text.")
    if uri != uri.strip():
        raise ManifestError(f"{name} begins or ends with a blank.")
    match = _S3_URI.fullmatch(uri)
    if match is None:
        blank = _BROKEN_SCHEME.match(uri) is not None and not uri.startswith("s3://")
        why = "has a blank in s3://" if blank else "is not of the form s3://bucket/key"
        raise ManifestError(f"{name} {_shown(uri)} {why}.")
    _storable(match.group(2), name)
    if not usable_key(match.group(2)):
        raise ManifestError(
            f"{name} {_shown(uri)}: a key has at most {MOST_KEY_BYTES} bytes, and no part of it is empty, '.' or '..'."
        )
    return match.group(1), match.group(2)


def _name(key: str) -> str:
    """A key in a message; as it is where it is an ordinary one."""
    return key if _ORDINARY.fullmatch(key) else _shown(key)


def _shown(text: str) -> str:
    """A text in a message: one line, not endless, and such as any database and any answer can hold."""
    return ascii(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")


def _storable(text: str, name: str) -> None:
    """JSON can escape what no database text can hold: NUL and halves of surrogate pairs."""
    try:
        valid = b"\0" not in text.encode()
    except UnicodeEncodeError:
        valid = False
    if not valid:
        raise ManifestError(f"{name} has a character that is not allowed.")


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[tuple[int, bytes]]:
    """Numbered lines that are not blank."""
    rest = b""
    number = 0
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            number += 1
            if number == 1:
                line = line.removeprefix(_BYTE_ORDER_MARK)
            if line.strip():
                yield number, line
        if len(rest) > _LONGEST_LINE_BYTES:
            raise _too_long(number + 1)
    if number == 0:
        rest = rest.removeprefix(_BYTE_ORDER_MARK)
    if rest.strip():
        yield number + 1, rest


def _too_long(number: int) -> ManifestError:
    return ManifestError(f"Line {number}: longer than {LONGEST_LINE} characters.")
