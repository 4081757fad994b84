"""Manifest lines of labelled images (Custom Labels) to entries, and which kind of model they ask for.

Labels come as SageMaker Ground Truth writes them: image-level labels (one attribute a label), several of them in one
attribute (multi-label jobs), and boxes. Attribute names, key order and date texts are free.
"""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from sys import intern
from typing import Any, overload

from vigia_training.domain.dataset import part_of, read_line
from vigia_training.domain.errors import BadData
from vigia_vision.manifest import LabelKind

IMAGE_LABEL = "groundtruth/image-classification"
MULTI_LABEL = "groundtruth/image-classification-multilabel"
BOXES = "groundtruth/object-detection"

#: What image-level labels of a manifest for anomaly detection are called.
_VERDICTS = frozenset({"normal", "anomaly"})
_MOST_LABELS = 250
_LONGEST_NAME = 256

Bad = Callable[[str], BadData]


@dataclass(frozen=True, slots=True)
class Boxed:
    """One object of an image, in the image's pixels."""

    label: str
    left: float
    top: float
    width: float
    height: float


class Boxes(Sequence[Boxed]):
    """Objects of one image, in little memory: a manifest may have millions."""

    __slots__ = ("_labels", "_sides")

    def __init__(self, boxes: Iterable[Boxed]) -> None:
        given = list(boxes)
        # Of a name in a million boxes one is enough.
        self._labels = tuple(intern(box.label) for box in given)
        self._sides = array("d", [side for box in given for side in (box.left, box.top, box.width, box.height)])

    def __len__(self) -> int:
        return len(self._labels)

    @overload
    def __getitem__(self, index: int) -> Boxed: ...
    @overload
    def __getitem__(self, index: slice) -> Boxes: ...
    def __getitem__(self, index: int | slice) -> Boxed | Boxes:
        numbers = range(len(self))[index]
        return self._box(numbers) if isinstance(numbers, int) else Boxes(map(self._box, numbers))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Boxes) and (self._labels, self._sides) == (other._labels, other._sides)

    def __hash__(self) -> int:
        return hash((self._labels, self._sides.tobytes()))

    def __repr__(self) -> str:
        return f"Boxes({list(self)})"

    def _box(self, number: int) -> Boxed:
        return Boxed(self._labels[number], *self._sides[4 * number : 4 * number + 4])


@dataclass(frozen=True, slots=True)
class Annotation:
    """Labels of one image. ``labels``: of the whole image; ``boxes``: None where no attribute speaks of boxes.

    ``size`` is what the manifest says of the image's width and height, where it says it; ``line`` counts from 1.
    ``part``: which physical part is shown, where the line says so.
    """

    line: int
    uri: str
    labels: tuple[str, ...]
    boxes: Sequence[Boxed] | None
    size: tuple[int, int] | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    part: str | None = None

    def names(self, kind: LabelKind) -> tuple[str, ...]:
        """Labels that the image has for a model of ``kind``, each once."""
        given = [box.label for box in self.boxes or ()] if kind == "object-detection" else self.labels
        return tuple(dict.fromkeys(given))


def wants_labels(text: bytes) -> bool:
    """Whether a manifest is for a model that gives labels, not for one that judges images normal or anomalous.

    It is when it has boxes, or more image-level labels that are neither ``normal`` nor ``anomaly`` than those. False
    where nothing can be read: the reader of the other kind then says what is wrong.
    """
    others = verdicts = 0
    for line in text.decode("utf-8-sig", errors="replace").split("\n"):
        try:
            fields = json.loads(line) if line.strip() else None
        except (ValueError, RecursionError):
            continue
        if not isinstance(fields, dict):
            continue
        for metadata in fields.values():
            kind = metadata.get("type") if isinstance(metadata, dict) else None
            if kind in (BOXES, MULTI_LABEL):
                return True
            name = metadata.get("class-name") if kind == IMAGE_LABEL else None
            if isinstance(name, str):
                verdict = name.lower() in _VERDICTS
                others, verdicts = others + (not verdict), verdicts + verdict
    return others > verdicts


def parse_annotations(text: bytes) -> list[Annotation]:
    """The labelled images of a manifest. BadData names the line that breaks the format.

    Images without any label attribute are unlabelled and left out, and so are boxes that reach beyond the image.
    """
    try:
        lines = text.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise BadData(f"the manifest is not UTF-8: {error}") from error
    return [found for number, line in enumerate(lines, 1) if line.strip() for found in _parse_line(number, line)]


def kind_of(annotations: Sequence[Annotation]) -> LabelKind:
    """The kind of model that training images ask for: what most of them are labelled with, boxes before labels."""
    boxed = sum(bool(one.boxes) for one in annotations)
    labelled = sum(bool(one.labels) for one in annotations)
    if boxed and boxed >= labelled:
        return "object-detection"
    if any(len(one.names("classification")) > 1 for one in annotations):
        return "multilabel-classification"
    return "classification"


def shows_logos(training: Sequence[Annotation], test: Sequence[Annotation]) -> bool:
    """Whether training images show logos alone that are to be found in the scenes of the test images (brand location).

    So it is when most training images have labels of the whole image and most test images boxes. BadData when there are
    training images with boxes too, or with several labels, or when a box's label is no training image's.
    """
    if kind_of(training) == "object-detection" or kind_of(test) != "object-detection":
        return False
    asks = "the test images have boxes, so training images show one logo each, with one label"
    for one in training:
        if one.boxes:
            raise BadData(
                f"{asks}; image {one.uri} has boxes: images of logos alone and images with boxes cannot be mixed"
            )
        if len(one.labels) > 1:
            raise BadData(f"{asks}; image {one.uri} has the labels {', '.join(one.labels)}")
    known = {name for one in training for name in one.labels}
    unknown = sorted({box.label for one in test for box in one.boxes or ()} - known)
    if unknown:
        raise BadData(f"the test images have boxes of {', '.join(unknown)}; no training image has that label")
    return True


def usable(annotations: Sequence[Annotation], kind: LabelKind) -> list[Annotation]:
    """Images that say something to a model of ``kind``; an image in which nobody found anything to box does."""
    if kind == "object-detection":
        return [one for one in annotations if one.boxes is not None]
    return [one for one in annotations if one.labels]


def labels_in(annotations: Sequence[Annotation], kind: LabelKind, logos: bool = False) -> tuple[str, ...]:
    """Every label, sorted; with ``logos``, those of images of one logo each.

    BadData when there are too few or too many for a model of ``kind``.
    """
    names = sorted({name for one in annotations for name in (one.labels if logos else one.names(kind))})
    least = 1 if kind == "object-detection" else 2
    if len(names) < least:
        scenes = "; to find one logo in scenes, give a test dataset with boxes" if names else ""
        raise BadData(f"the training images have {len(names)} labels; a model of the kind {kind} needs {least}{scenes}")
    if len(names) > _MOST_LABELS:
        raise BadData(f"the training images have {len(names)} labels; at most {_MOST_LABELS} are possible")
    return tuple(names)


def _parse_line(number: int, line: str) -> Iterator[Annotation]:
    def bad(problem: str) -> BadData:
        return BadData(f"manifest line {number}: {problem}")

    fields, uri = read_line(line, bad)
    labels: list[str] = []
    boxes: list[Boxed] | None = None
    size: tuple[int, int] | None = None
    for name, metadata in fields.items():
        if not name.endswith("-metadata") or not isinstance(metadata, dict):
            continue
        key, kind = name.removesuffix("-metadata"), metadata.get("type")
        if kind not in (IMAGE_LABEL, MULTI_LABEL, BOXES):
            continue
        if key not in fields:
            raise bad(f"{key} is missing")
        if kind == IMAGE_LABEL:
            labels.append(_label(metadata.get("class-name"), f"the class-name of {name}", bad))
        elif kind == MULTI_LABEL:
            labels += _several(fields[key], metadata, key, bad)
        else:
            size = _size(fields[key], key, bad)
            boxes = (boxes or []) + list(_boxes(fields[key], metadata, key, size, bad))
    if labels or boxes is not None:
        unique = tuple(dict.fromkeys(labels))
        known = None if boxes is None else tuple(boxes)
        yield Annotation(number, uri, unique, known, size, fields, part_of(fields, bad))


def _several(value: Any, metadata: Mapping[str, Any], key: str, bad: Bad) -> list[str]:
    if not isinstance(value, list):
        raise bad(f"{key} is no list of class ids")
    return [_class(metadata, item, key, bad) for item in value]


def _boxes(value: Any, metadata: Mapping[str, Any], key: str, size: tuple[int, int], bad: Bad) -> Iterator[Boxed]:
    annotations = value.get("annotations")
    if not isinstance(annotations, list):
        raise bad(f"{key} has no annotations")
    for position, item in enumerate(annotations, 1):
        sides = _numbers(item, ("left", "top", "width", "height"))
        if sides is None:
            raise bad(f"box {position} of {key} needs left, top, width and height in pixels")
        label = _class(metadata, item.get("class_id"), key, bad)
        left, top, width, height = sides
        inside = left >= 0 and top >= 0 and left + width <= size[0] and top + height <= size[1]
        if inside and width > 1 and height > 1:
            yield Boxed(label, left, top, width, height)


def _size(value: Any, key: str, bad: Bad) -> tuple[int, int]:
    given = value.get("image_size") if isinstance(value, dict) else None
    if isinstance(given, list) and len(given) == 1:
        given = given[0]
    sides = _numbers(given, ("width", "height"))
    if sides is None or min(sides) < 1:
        raise bad(f"{key} has no image_size with width and height")
    return int(sides[0]), int(sides[1])


def _numbers(item: Any, names: Sequence[str]) -> list[float] | None:
    """The finite numbers of those names, None where one is missing."""
    values = [item.get(name) for name in names] if isinstance(item, dict) else []
    numbers = [float(v) for v in values if isinstance(v, (int, float)) and not isinstance(v, bool) and math.isfinite(v)]
    return numbers if len(numbers) == len(names) else None


def _class(metadata: Mapping[str, Any], identifier: Any, key: str, bad: Bad) -> str:
    names = metadata.get("class-map")
    if not isinstance(names, dict):
        raise bad(f"{key}-metadata has no class-map")
    if isinstance(identifier, bool) or not isinstance(identifier, (int, str)) or str(identifier) not in names:
        raise bad(f"class {identifier!r} of {key} is not in its class-map")
    return _label(names[str(identifier)], f"class {identifier} of {key}", bad)


def _label(name: Any, what: str, bad: Bad) -> str:
    if not isinstance(name, str) or not name.strip():
        raise bad(f"{what} is no text")
    if len(name.strip()) > _LONGEST_NAME:
        raise bad(f"{what} is longer than {_LONGEST_NAME} characters")
    return name.strip()
