"""A CSV file to a manifest of image-level labels: an image a row, then its labels.

There is no row of titles. The first column is the image's name, or its whole address; the two are not mixed. Blank rows
and blank columns mean nothing. Quotes are ``|``, as in the guide's own script.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from vigia_client.converters.output import IMAGE_LEVEL, ConversionError, Draft, check_label, folder, write_line

_QUOTE: Final = "|"
_METADATA: Final = "-metadata"


@dataclass(slots=True)
class Converted:
    """``manifest`` None: images are there more than once, and the two files of rows say which."""

    images: int = 0
    labels: int = 0
    unlabelled: int = 0
    duplicates: int = 0
    manifest: Path | None = None
    deduplicated: Path | None = None
    duplicated: Path | None = None


def convert(source: Path, output: Path | None = None, s3_path: str | None = None) -> Converted:
    """Make the manifest, beside the file unless ``output`` says where; ConversionError, OSError.

    ``s3_path``: the folder of the images, for a file whose first column has names alone. Where an image is there more
    than once, the first row of every image goes to ``…-deduplicated.csv`` and all others to ``…-duplicates.csv``.
    Rows are read one by one; of the images 16 bytes each are remembered.
    """
    stem = source.with_suffix("")
    deduplicated, duplicated = (stem.with_name(f"{stem.name}-{kind}.csv") for kind in ("deduplicated", "duplicates"))
    manifest = output or stem.with_name(f"{stem.name}.manifest")
    root = None if s3_path is None else folder(s3_path)
    told = Converted()
    seen: set[bytes] = set()
    with Draft(manifest) as lines, Draft(deduplicated) as once, Draft(duplicated) as again:
        kept, others = (csv.writer(draft.file, quotechar=_QUOTE) for draft in (once, again))
        for where, row in _rows(source):
            key = blake2b(row[0].encode(), digest_size=16).digest()
            if key in seen:
                told.duplicates += 1
                others.writerow(row)
                continue
            seen.add(key)
            kept.writerow(row)
            write_line(lines, _line(row, root, where, told), where)
        if not told.images:
            raise ConversionError(f"{source} has no row with an image")
        if told.duplicates:
            told.deduplicated, told.duplicated = once.keep(), again.keep()
        else:
            told.manifest = lines.keep()
            for stale in (deduplicated, duplicated):  # of a run before the file was put right
                stale.unlink(missing_ok=True)
    return told


def _rows(source: Path) -> Iterator[tuple[str, list[str]]]:
    """Rows that are not blank, each with where it stands."""
    # A byte order mark, which spreadsheets write, is no part of the first name. Bytes that are no text come through as
    # halves of surrogate pairs, so that the row and column can be named.
    with source.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file, quotechar=_QUOTE, strict=True)
        while True:
            try:
                row = next(reader, None)
            except csv.Error as error:
                raise ConversionError(f"{source}, line {reader.line_num}: {error}") from error
            if row is None:
                return
            if not "".join(row).strip():
                continue
            where = f"{source}, line {reader.line_num}"
            for column, cell in enumerate(row, 1):
                if not _is_text(cell):
                    raise ConversionError(f"{where}, column {column}: not UTF-8")
                if cell.startswith('"'):
                    raise ConversionError(f'{where}, column {column}: quotes are {_QUOTE}, not "')
            yield where, row


def _line(row: list[str], root: str | None, where: str, told: Converted) -> dict[str, Any]:
    fields: dict[str, Any] = {"source-ref": _address(row[0], root, f"{where}, column 1")}
    told.images += 1
    given: set[str] = set()
    for column, label in enumerate(row[1:], 2):
        if not label.strip():
            continue
        check_label(label, f"{where}, column {column}")
        if label not in given and (label in fields or label + _METADATA in fields):
            raise ConversionError(f"{where}, column {column}: {label} would be mixed up with another field of the line")
        given.add(label)
        told.labels += 1
        fields[label] = 1
        fields[label + _METADATA] = {
            "confidence": 1,
            "job-name": f"labeling-job/{label}",
            "class-name": label,
            "human-annotated": "yes",
            "creation-date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f"),
            "type": IMAGE_LEVEL,
        }
    told.unlabelled += not given
    return fields


def _address(name: str, root: str | None, where: str) -> str:
    if not name.strip() or name != name.strip():
        raise ConversionError(f"{where}: {name!r} is no image's name: it is blank, or begins or ends with a blank")
    whole_address = name.startswith("s3://")
    if root is None and not whole_address:
        raise ConversionError(f"{where}: {name} is no s3:// address; give --s3-path with the folder of the images")
    if root is not None and whole_address:
        raise ConversionError(f"{where}: {name} is a whole address, and --s3-path is for names; do not mix them")
    if whole_address and not name.removeprefix("s3://").partition("/")[2]:
        raise ConversionError(f"{where}: {name} names no object; an address is s3://BUCKET/KEY")
    return name if root is None else root + name


def _is_text(cell: str) -> bool:
    try:
        return b"\0" not in cell.encode()
    except UnicodeEncodeError:
        return False
