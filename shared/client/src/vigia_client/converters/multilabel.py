"""A multi-label labelling job's manifest to one of image-level labels, line by line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from vigia_client.converters.output import IMAGE_LEVEL, ConversionError, Draft, check_label, write_line

_METADATA: Final = "-metadata"
_MOST_BYTES: Final = 1 << 20
#: What every label's metadata takes over from the job's.
_TAKEN: Final = ("job-name", "human-annotated", "creation-date")

Json = dict[str, Any]


@dataclass(slots=True)
class Converted:
    """``unlabelled``: images that the job gave no label."""

    manifest: Path
    images: int = 0
    labels: int = 0
    unlabelled: int = 0


def convert(source: Path, output: Path | None = None, job: str | None = None) -> Converted:
    """Make ``custom_labels_<name>`` in the current folder, unless ``output`` says where; ConversionError, OSError.

    ``job``: the attribute of the job's labels, for lines with those of several jobs.
    """
    told = Converted(output or Path(f"custom_labels_{source.name}"))
    with Draft(told.manifest) as draft:
        for where, fields in _lines(source):
            made = _converted(fields, job, where)
            count = (len(made) - 1) // 2
            told.images += 1
            told.labels += count
            told.unlabelled += not count
            write_line(draft, made, where)
        if not told.images:
            raise ConversionError(f"{source} has no line")
        draft.keep()
    return told


def _lines(source: Path) -> Iterator[tuple[str, Json]]:
    """The lines that are not blank, each with where it stands."""
    with source.open("rb") as file:
        number = 0
        while raw := file.readline(_MOST_BYTES + 1):
            number += 1
            where = f"{source}, line {number}"
            if len(raw) > _MOST_BYTES:
                raise ConversionError(f"{where}: more than {_MOST_BYTES} bytes")
            if not raw.strip():
                continue
            try:
                fields = json.loads(raw.decode("utf-8-sig"))
            except json.JSONDecodeError as error:
                raise ConversionError(f"{where}, column {error.colno}: {error.msg}") from error
            except UnicodeDecodeError as error:
                raise ConversionError(f"{where}, byte {error.start + 1}: not UTF-8") from error
            except RecursionError as error:
                raise ConversionError(f"{where}: nested too deeply") from error
            if not isinstance(fields, dict):
                raise ConversionError(f"{where}: not a JSON object")
            yield where, fields


def _converted(fields: Json, job: str | None, where: str) -> Json:
    ref = fields.get("source-ref")
    if not isinstance(ref, str) or not ref:
        raise ConversionError(f"{where}: source-ref is missing")
    name = job or _job(fields, where)
    labels, metadata = fields.get(name), fields.get(name + _METADATA)
    if not isinstance(labels, list) or not isinstance(metadata, dict):
        raise ConversionError(f"{where}: {name} is no list of classes with {name}{_METADATA} beside it")
    classes, confidences = (metadata.get(key) for key in ("class-map", "confidence-map"))
    if not isinstance(classes, dict) or not isinstance(confidences, dict):
        raise ConversionError(f"{where}: {name}{_METADATA} has no class-map or no confidence-map")
    made: Json = {"source-ref": ref}
    for index, label in enumerate(labels):
        there = f"{where}: {name}[{index}]"
        key = str(label)
        if key not in classes or key not in confidences:
            raise ConversionError(f"{there}: class {key[:40]} is not in class-map and confidence-map")
        missing = [taken for taken in _TAKEN if taken not in metadata]
        if missing:
            raise ConversionError(f"{where}: {name}{_METADATA} has no {missing[0]}")
        made[f"{name}{index}"] = index
        made[f"{name}{index}{_METADATA}"] = {
            "class-name": check_label(classes[key], there),
            "confidence": confidences[key],
            "type": IMAGE_LEVEL,
            **{taken: metadata[taken] for taken in _TAKEN},
        }
    return made


def _job(fields: Json, where: str) -> str:
    """The one attribute with labels of a job."""
    found = [
        name for name in fields if "source-ref" not in name and _METADATA not in name and name + _METADATA in fields
    ]
    if len(found) != 1:
        said = "no job's labels" if not found else f"labels of several jobs: {', '.join(found)}; choose with --job"
        raise ConversionError(f"{where}: {said}")
    return found[0]
