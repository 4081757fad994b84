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
from typing import Any, Final

#: The longest line, characters.
LONGEST_LINE: Final = 8192
_LONGEST_LINE_BYTES: Final = LONGEST_LINE * 4

_S3_URI = re.compile(r"s3://([0-9A-Za-z.\-_]{3,63})/(.{1,1024})", re.DOTALL)
_HEX_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
_CLASSIFICATION: Final = "groundtruth/image-classification"
_SEGMENTATION: Final = "groundtruth/semantic-segmentation"
_CLASSES: Final = frozenset({"normal", "anomaly"})
_BACKGROUND: Final = "background"


class ManifestError(ValueError):
    """What is wrong with a manifest; the text names the line."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One image of a manifest. ``line`` is its JSON as written, ``labels`` the anomaly types its mask declares."""

    source_ref: str
    line: str
    anomaly_class: str | None
    labels: tuple[str, ...]
    buckets: frozenset[str]


def bucket_of(source_ref: str) -> str:
    """The bucket of an S3 URI; ManifestError."""
    return _bucket(source_ref, "source-ref")


async def read_entries(chunks: AsyncIterator[bytes], most: int, bucket: str | None = None) -> AsyncIterator[Entry]:
    """Entries of a manifest that comes in pieces; ManifestError at the first thing that is wrong.

    Holds one line and the names of the images seen, never the manifest. ``most`` is the largest number of entries,
    ``bucket`` the one that the images must be in, where it is decided already.
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
        for other in sorted(entry.buckets):
            bucket = bucket or other
            if other != bucket:
                raise ManifestError(
                    f"Line {number}: bucket {other} differs from bucket {bucket}; all images must be in one bucket."
                )
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
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"Line {number}: not a JSON object.") from error
    if not isinstance(fields, dict):
        raise ManifestError(f"Line {number}: not a JSON object.")
    try:
        return _entry(line, fields)
    except ManifestError as error:
        raise ManifestError(f"Line {number}: {error}") from error


def _entry(line: str, fields: dict[str, Any]) -> Entry:
    source_ref = fields.get("source-ref")
    buckets = {_bucket(source_ref, "source-ref")}
    metadata = {key: value for key, value in fields.items() if key.endswith("-metadata") and isinstance(value, dict)}
    classes = {key: value for key, value in metadata.items() if _is(value, _CLASSIFICATION, "class-name")}
    masks = {key: value for key, value in metadata.items() if _is(value, _SEGMENTATION, "internal-color-map")}
    if len(classes) > 1 or len(masks) > 1:
        raise ManifestError("more than one classification or mask for the image.")
    anomaly_class: str | None = None
    for key, value in classes.items():
        anomaly_class = _class(fields, key, value)
    labels: tuple[str, ...] = ()
    for key, value in masks.items():
        labels = _labels(key, value)
        buckets.add(_bucket(fields.get(key.removesuffix("-metadata")), key.removesuffix("-metadata")))
    return Entry(
        source_ref=str(source_ref), line=line, anomaly_class=anomaly_class, labels=labels, buckets=frozenset(buckets)
    )


def _is(value: dict[str, Any], kind: str, mark: str) -> bool:
    return value.get("type") == kind or mark in value


def _class(fields: dict[str, Any], key: str, value: dict[str, Any]) -> str | None:
    label = key.removesuffix("-metadata")
    if isinstance(fields.get(label), bool) or not isinstance(fields.get(label), int | float | str):
        raise ManifestError(f"{label} is missing or neither a number nor a text.")
    _require(value, key, _CLASSIFICATION)
    name = value.get("class-name")
    if not isinstance(name, str):
        raise ManifestError(f"{key} has no class-name.")
    return name if name in _CLASSES else None


def _labels(key: str, value: dict[str, Any]) -> tuple[str, ...]:
    if not key.endswith("-ref-metadata"):
        raise ManifestError(f"{key}: the name of a mask's metadata must end in -ref-metadata.")
    _require(value, key, _SEGMENTATION)
    colors = value.get("internal-color-map")
    if not isinstance(colors, dict) or not colors:
        raise ManifestError(f"{key} has no internal-color-map.")
    names: dict[str, str] = {}
    for index, color in colors.items():
        where = f'internal-color-map entry "{index}"'
        if not isinstance(color, dict):
            raise ManifestError(f"{where} is not an object.")
        name, code = color.get("class-name"), color.get("hex-color")
        if not isinstance(name, str) or not 1 <= len(name) <= 256:
            raise ManifestError(f"{where} has no class-name of 1 to 256 characters.")
        _storable(name, where)
        if not isinstance(code, str) or _HEX_COLOR.fullmatch(code) is None:
            raise ManifestError(f"{where} has no hex-color of the form #rrggbb.")
        if names.setdefault(code.lower(), name) != name:
            raise ManifestError(f"{where}: hex-color {code} stands for two classes.")
    return tuple(sorted({name for name in names.values() if name.lower() != _BACKGROUND}))


def _require(value: dict[str, Any], key: str, kind: str) -> None:
    if value.get("type") != kind:
        raise ManifestError(f'{key} has no type "{kind}".')
    if value.get("human-annotated") not in ("yes", "no"):
        raise ManifestError(f'{key} has no human-annotated of "yes" or "no".')


def _bucket(uri: object, name: str) -> str:
    match = _S3_URI.fullmatch(uri) if isinstance(uri, str) else None
    if match is None:
        raise ManifestError(f"{name} is missing or not of the form s3://bucket/key.")
    _storable(match.group(2), name)
    return match.group(1)


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
            if line.strip():
                yield number, line
        if len(rest) > _LONGEST_LINE_BYTES:
            raise _too_long(number + 1)
    if rest.strip():
        yield number + 1, rest


def _too_long(number: int) -> ManifestError:
    return ManifestError(f"Line {number}: longer than {LONGEST_LINE} characters.")
