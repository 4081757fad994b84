"""A COCO file of boxes to a manifest. Read whole: JSON gives an image's annotations anywhere after it.

Of the file's lists ``images``, ``annotations`` and ``categories`` are used. Segmentations are not.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from vigia_client.converters.output import BOXES, ConversionError, Draft, check_label, folder, write_line

ATTRIBUTE: Final = "bounding-box"
#: Channels of an image: the service wants a number and makes nothing of it.
_DEPTH: Final = 3

Json = dict[str, Any]


@dataclass(slots=True)
class Converted:
    """``empty``: images without an annotation, whose lines have empty lists."""

    manifest: Path
    images: int = 0
    boxes: int = 0
    labels: int = 0
    empty: int = 0


def convert(
    source: Path, output: Path | None = None, s3_path: str | None = None, job: str | None = None, captured: str = ""
) -> Converted:
    """Make the manifest, beside the file unless ``output`` says where; ConversionError, OSError.

    ``s3_path``: the folder of the images; without it each image's ``coco_url`` must be an s3:// address. ``job``: the
    labelling job's name, the file's own unless given. ``captured``: the time of images that have no ``date_captured``.
    """
    document = _read(source)
    root = None if s3_path is None else folder(s3_path)
    names = _categories(document)
    lines = _images(document, root, job or source.stem, captured)
    told = Converted(output or source.with_suffix(".manifest"), images=len(lines), labels=len(names))
    for where, annotation in _items(document, "annotations"):
        number = _id(annotation, "image_id", where)
        if number not in lines:
            raise ConversionError(f"{where}.image_id: there is no image {number}")
        category = _id(annotation, "category_id", where)
        if category not in names:
            raise ConversionError(f"{where}.category_id: there is no category {category}")
        fields = lines[number]
        left, top, width, height = _box(annotation, where)
        fields[ATTRIBUTE]["annotations"].append(
            {"left": left, "top": top, "width": width, "height": height, "class_id": category}
        )
        metadata = fields[f"{ATTRIBUTE}-metadata"]
        metadata["class-map"][str(category)] = names[category]
        metadata["objects"].append({"confidence": 1})
        told.boxes += 1
    with Draft(told.manifest) as draft:
        for number, fields in lines.items():
            told.empty += not fields[ATTRIBUTE]["annotations"]
            write_line(draft, fields, f"image {number}")
        draft.keep()
    return told


def _read(source: Path) -> Json:
    try:
        document = json.loads(source.read_bytes().decode("utf-8-sig"), parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise ConversionError(f"{source}, line {error.lineno}, column {error.colno}: {error.msg}") from error
    except UnicodeDecodeError as error:
        raise ConversionError(f"{source}, byte {error.start + 1}: not UTF-8") from error
    except RecursionError as error:
        raise ConversionError(f"{source}: nested too deeply") from error
    if not isinstance(document, dict):
        raise ConversionError(f"{source}: a COCO file is one JSON object")
    return document


def _no_number(text: str) -> float:
    raise ConversionError(f"{text} is no number in JSON")


def _items(document: Json, name: str) -> Iterator[tuple[str, Json]]:
    """The objects of one of the lists, each with where it stands."""
    held = document.get(name)
    if not isinstance(held, list):
        raise ConversionError(f"{name}: a COCO file has a list of that name")
    for index, item in enumerate(held):
        if not isinstance(item, dict):
            raise ConversionError(f"{name}[{index}]: not an object")
        yield f"{name}[{index}]", item


def _categories(document: Json) -> dict[int, str]:
    names: dict[int, str] = {}
    for where, category in _items(document, "categories"):
        number = _id(category, "id", where)
        if number in names:
            raise ConversionError(f"{where}.id: {number} is another category's too")
        names[number] = check_label(category.get("name"), f"{where}.name")
    return names


def _images(document: Json, root: str | None, job: str, captured: str) -> dict[int, Json]:
    """The lines of all images, without boxes, by the images' ids."""
    lines: dict[int, Json] = {}
    refs: set[str] = set()
    for where, image in _items(document, "images"):
        number = _id(image, "id", where)
        if number in lines:
            raise ConversionError(f"{where}.id: {number} is another image's too")
        ref = _address(image, root, where)
        if ref in refs:
            raise ConversionError(f"{where}: {ref} is another image's address too")
        refs.add(ref)
        lines[number] = {
            "source-ref": ref,
            ATTRIBUTE: {
                "annotations": [],
                "image_size": [{"width": _side(image, "width", where), "depth": _DEPTH,
                                "height": _side(image, "height", where)}],
            },
            f"{ATTRIBUTE}-metadata": {
                "job-name": job,
                "class-map": {},
                "human-annotated": "yes",
                "objects": [],
                "creation-date": _moment(image.get("date_captured") or captured, f"{where}.date_captured"),
                "type": BOXES,
            },
        }  # fmt: skip
    if not lines:
        raise ConversionError("images: the list is empty")
    return lines


def _address(image: Mapping[str, Any], root: str | None, where: str) -> str:
    if root is not None:
        name = image.get("file_name")
        if not isinstance(name, str) or not name.strip():
            raise ConversionError(f"{where}.file_name: the image's name is missing")
        return root + name.removeprefix("/")
    url = image.get("coco_url")
    if not isinstance(url, str) or not url.startswith("s3://"):
        raise ConversionError(f"{where}.coco_url is no s3:// address; give --s3-path with the folder of the images")
    return url


def _id(item: Mapping[str, Any], name: str, where: str) -> int:
    value = item.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ConversionError(f"{where}.{name}: not a whole number")
    return value


def _side(image: Mapping[str, Any], name: str, where: str) -> int:
    value = _id(image, name, where)
    if value < 1:
        raise ConversionError(f"{where}.{name}: {value} pixels")
    return value


def _box(annotation: Mapping[str, Any], where: str) -> list[float]:
    """``bbox`` as it is: left, top, width, height in pixels, whole numbers or not."""
    box = annotation.get("bbox")
    if (
        not isinstance(box, list)
        or len(box) != 4
        or not all(isinstance(n, int | float) and not isinstance(n, bool) and math.isfinite(n) for n in box)
    ):
        raise ConversionError(f"{where}.bbox: not the four numbers left, top, width and height")
    if box[2] <= 0 or box[3] <= 0:
        raise ConversionError(f"{where}.bbox: {box[2]} by {box[3]} pixels")
    return box


def _moment(value: object, where: str) -> str:
    """``2013-11-15 02:41:42``, or any other ISO 8601 time, to the second."""
    if not value:
        raise ConversionError(f"{where}: missing; --captured gives a time to images that have none")
    try:
        return datetime.fromisoformat(str(value)).strftime("%Y-%m-%dT%H:%M:%S")
    except ValueError as error:
        raise ConversionError(f"{where}: {str(value)[:60]!r} is no time as 2013-11-15 02:41:42") from error
