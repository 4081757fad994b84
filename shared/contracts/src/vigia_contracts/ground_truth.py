"""One line of a manifest for Custom Labels: what it says of its image, and what is wrong with it.

Lines are JSON as SageMaker Ground Truth writes them: image-level labels (one attribute each) and boxes, in any mixture.
Whatever bytes come, reading them raises nothing: what is wrong is told with the codes and texts of the protocol. What
an earlier validation left in a line (``errors``, ``warnings``, ``cl-errors``, ``cl-metadata``) is taken out, so that a
manifest with its errors written in is a manifest, too.
"""

from __future__ import annotations

import copy
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

IMAGE_LABEL = "groundtruth/image-classification"
BOXES = "groundtruth/object-detection"

MISSING_SOURCE_REF = "ERROR_MISSING_SOURCE_REF"
INVALID_SOURCE_REF_FORMAT = "ERROR_INVALID_SOURCE_REF_FORMAT"
NO_LABEL_ATTRIBUTES = "ERROR_NO_LABEL_ATTRIBUTES"
INVALID_LABEL_ATTRIBUTE_FORMAT = "ERROR_INVALID_LABEL_ATTRIBUTE_FORMAT"
INVALID_LABEL_ATTRIBUTE_METADATA_FORMAT = "ERROR_INVALID_LABEL_ATTRIBUTE_METADATA_FORMAT"
NO_VALID_LABEL_ATTRIBUTES = "ERROR_NO_VALID_LABEL_ATTRIBUTES"
MISSING_BOUNDING_BOX_CONFIDENCE = "ERROR_MISSING_BOUNDING_BOX_CONFIDENCE"
MISSING_CLASS_MAP_ID = "ERROR_MISSING_CLASS_MAP_ID"
INVALID_JSON_LINE = "ERROR_INVALID_JSON_LINE"
INVALID_IMAGE = "ERROR_INVALID_IMAGE"
INVALID_IMAGE_DIMENSION = "ERROR_INVALID_IMAGE_DIMENSION"
INVALID_BOUNDING_BOX = "ERROR_INVALID_BOUNDING_BOX"
NO_VALID_ANNOTATIONS = "ERROR_NO_VALID_ANNOTATIONS"
BOUNDING_BOX_TOO_SMALL = "ERROR_BOUNDING_BOX_TOO_SMALL"
TOO_MANY_BOUNDING_BOXES = "ERROR_TOO_MANY_BOUNDING_BOXES"
UNSUPPORTED_USE_CASE_TYPE = "ERROR_UNSUPPORTED_USE_CASE_TYPE"
INVALID_LABEL_NAME_LENGTH = "ERROR_INVALID_LABEL_NAME_LENGTH"
#: These two the service had limits for, and no code.
TOO_MANY_IMAGE_LABELS = "ERROR_TOO_MANY_IMAGE_LABELS"
DUPLICATE_SOURCE_REF = "ERROR_DUPLICATE_SOURCE_REF"
UNANNOTATED_RECORD = "WARNING_UNANNOTATED_RECORD"
NO_ANNOTATIONS = "WARNING_NO_ANNOTATIONS"
NO_ATTRIBUTE_ANNOTATIONS = "WARNING_NO_ATTRIBUTE_ANNOTATIONS"

#: What each code says; ``{}`` is the attribute's name.
MESSAGES: Mapping[str, str] = {
    MISSING_SOURCE_REF: "The source-ref key is missing.",
    INVALID_SOURCE_REF_FORMAT: "The format of the source-ref value is invalid.",
    NO_LABEL_ATTRIBUTES: "No label attributes found.",
    INVALID_LABEL_ATTRIBUTE_FORMAT: "The format of the label attribute {} is invalid.",
    INVALID_LABEL_ATTRIBUTE_METADATA_FORMAT: "The format of the label attribute metadata is invalid.",
    NO_VALID_LABEL_ATTRIBUTES: "No valid label attributes found.",
    MISSING_BOUNDING_BOX_CONFIDENCE: "One or more bounding boxes has a missing confidence value.",
    MISSING_CLASS_MAP_ID: "One of more class ids is missing from the class map.",
    INVALID_JSON_LINE: "The JSON Line has an invalid format.",
    INVALID_IMAGE: "The image is invalid. Check S3 path and/or image properties.",
    INVALID_IMAGE_DIMENSION: "The image dimension(s) do not conform to allowed dimensions.",
    INVALID_BOUNDING_BOX: "The bounding box has off frame values.",
    NO_VALID_ANNOTATIONS: "No valid annotations found.",
    BOUNDING_BOX_TOO_SMALL: "The height and width of the bounding box is too small.",
    TOO_MANY_BOUNDING_BOXES: "There are more bounding boxes than the allowed maximum.",
    UNSUPPORTED_USE_CASE_TYPE: (
        "The use case type of the {}-metadata label attribute metadata is unsupported. Check the type field."
    ),
    INVALID_LABEL_NAME_LENGTH: "The length of a label name is too long.",
    TOO_MANY_IMAGE_LABELS: "There are more image-level labels than the allowed maximum.",
    DUPLICATE_SOURCE_REF: "The source-ref value is that of an earlier line.",
    UNANNOTATED_RECORD: "Record is unannotated.",
    NO_ANNOTATIONS: "No annotations were found.",
    NO_ATTRIBUTE_ANNOTATIONS: "No attribute annotations were found.",
}

#: A dataset does without lines that have one of these; nobody is told.
_DROPPED = frozenset({MISSING_SOURCE_REF, INVALID_SOURCE_REF_FORMAT, INVALID_JSON_LINE})
#: These make an image unlabelled, not its line wrong.
_IGNORED = frozenset({UNANNOTATED_RECORD, NO_ANNOTATIONS})
#: Members that a validation, or a listing, adds: none of them is the customer's.
_LEFT_OVER = ("errors", "warnings", "cl-errors", "cl-warnings")
_LISTED = "cl-metadata"
_METADATA = "-metadata"
_SOURCE = "source-ref"
#: Vigia's own: which physical part an image shows. It is no label.
_PART = "part-id"
_URI = re.compile(r"s3://[^/\s]+/.+", re.DOTALL)
#: A line with its errors written in is longer than it was; no line is parsed that is longer than this many times.
_GROWN = 4
#: Of objects and lists inside each other.
_MOST_LEVELS = 64
#: Of pixels: what sums of rounded numbers may be off.
_OFF = 1e-3

Where = tuple[str | int, ...]
ErrorKey = Literal["errors", "cl-errors"]


@dataclass(frozen=True, slots=True)
class LineLimits:
    """What a line may have: characters, those of a label's name, boxes, labels of the image as a whole, and pixels of a
    side of its image.

    Images with a side of more than ``resized`` pixels are shrunk to it, and boxes are measured after that.
    """

    characters: int = 100_000
    label_name: int = 256
    boxes: int = 50
    labels: int = 50
    least_side: int = 64
    most_side: int = 4096
    resized: int = 1280


LIMITS = LineLimits()


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong. ``where``: the path of the object that it is written into; empty for the line itself.

    A problem of one annotation (``where`` leads into ``annotations``) costs that box alone; every other error costs the
    line.
    """

    code: str
    message: str
    where: Where = ()
    warning: bool = False

    @property
    def of_box(self) -> bool:
        return len(self.where) > 2


@dataclass(frozen=True, slots=True)
class Box:
    """A box that is valid, in the image's pixels; ``attribute`` and ``index`` say which annotation it is."""

    label: str
    left: float
    top: float
    width: float
    height: float
    attribute: str
    index: int


@dataclass(frozen=True, slots=True)
class Line:
    """What a line says. Of one with errors, what could be read.

    ``text``: the line without what an earlier validation left, as given where there is nothing of the kind; ``fields``
    the same parsed, None where it is not JSON. ``size``: width and height that the manifest states for the boxes.
    ``labeled``: whether somebody labelled it, right or wrong.
    """

    text: str
    source_ref: str | None = None
    fields: dict[str, Any] | None = None
    image_labels: tuple[str, ...] = ()
    boxes: tuple[Box, ...] = ()
    size: tuple[int, int] | None = None
    labeled: bool = False
    problems: tuple[Problem, ...] = ()

    @property
    def invalid(self) -> bool:
        """Whether the whole line cannot be used."""
        return any(not one.warning and not one.of_box for one in self.problems)

    @property
    def ignored(self) -> bool:
        """Whether there is nothing wrong, and nothing to use."""
        return not self.invalid and any(one.code in _IGNORED for one in self.problems)

    @property
    def usable(self) -> bool:
        return not self.invalid and not self.ignored

    @property
    def errors(self) -> tuple[Problem, ...]:
        """Problems but for warnings."""
        return tuple(one for one in self.problems if not one.warning)

    @property
    def box_labels(self) -> tuple[str, ...]:
        """Labels of its boxes, each once."""
        return tuple(dict.fromkeys(box.label for box in self.boxes))


def problem(code: str, where: Where = (), attribute: str = "") -> Problem:
    """What the protocol says of ``code``."""
    return Problem(code, MESSAGES[code].replace("{}", attribute), where, code.startswith("WARNING_"))


def read_line(raw: bytes, limits: LineLimits = LIMITS) -> Line:
    """Reads one line of a manifest, with or without its line end. Never raises."""
    try:
        text = raw.decode("utf-8-sig").strip()
        fields = json.loads(text, parse_constant=_refuse, parse_float=_finite) if _short(text, limits) else None
    except (ValueError, RecursionError):
        fields = None
    if isinstance(fields, dict) and not _replaced(fields) and not _deep(text, fields):
        if _without_left_overs(fields):
            text = _dumped(fields)
        if len(text) <= limits.characters:
            return _Reading(text, fields, limits).line()
    text = raw.decode("utf-8-sig", errors="replace").strip()
    return Line(text[: limits.characters], problems=(problem(INVALID_JSON_LINE),))


def dropped(line: Line) -> bool:
    """Whether a dataset does without the line, silently: a terminal error of content. Doubles are the caller's."""
    return any(one.code in _DROPPED for one in line.problems)


def with_errors(
    fields: Mapping[str, Any] | None,
    problems: Iterable[Problem],
    error_key: ErrorKey = "errors",
    labeled: bool | None = None,
) -> str:
    """A line's JSON with its problems written in, each where it belongs. Of a line that is no JSON they alone.

    ``errors`` and ``warnings`` as in manifests with validation; or ``cl-errors``, without warnings, and ``cl-metadata``
    where ``labeled`` is given, as dataset entries are listed.
    """
    written = copy.deepcopy(dict(fields or {}))
    _without_left_overs(written)
    for one in problems:
        if one.warning and error_key == "cl-errors":
            continue
        key = "warnings" if one.warning else error_key
        added = _at(written, one.where).setdefault(key, [])
        if isinstance(added, list):  # else a label's attribute is called so
            added.append({"code": one.code, "message": one.message})
    if labeled is not None and _LISTED not in written:
        written[_LISTED] = {"is_labeled": labeled}
    return _dumped(written)


def _at(fields: dict[str, Any], where: Where) -> dict[str, Any]:
    """The object at a path, or the last one on the way to it."""
    found: Any = fields
    holder = fields
    for step in where:
        try:
            found = found[step]
        except (KeyError, IndexError, TypeError):
            break
        holder = found if isinstance(found, dict) else holder
    return holder


def _dumped(fields: Mapping[str, Any]) -> str:
    """JSON that can be written as UTF-8."""
    text = json.dumps(fields, ensure_ascii=False)
    return text if _encodable(text) else json.dumps(fields)


def _short(text: str, limits: LineLimits) -> bool:
    return len(text) <= _GROWN * limits.characters


def _deep(text: str, fields: dict[str, Any]) -> bool:
    """Whether it is nested so deeply that writing it again may fail."""
    if text.count("{") + text.count("[") <= _MOST_LEVELS:
        return False
    level: list[Any] = [fields]
    for _ in range(_MOST_LEVELS):
        inner: list[Any] = []
        for item in level:
            inner += item.values() if isinstance(item, dict) else item
        level = [item for item in inner if isinstance(item, dict | list)]
    return bool(level)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is too large")
    return value


def _replaced(fields: Mapping[str, Any]) -> bool:
    """Whether it stands in a manifest with validation for a line that was no JSON."""
    left = fields.get("errors")
    return len(fields) == 1 and isinstance(left, list) and {"code": INVALID_JSON_LINE} in [_code(one) for one in left]


def _code(error: Any) -> Any:
    return {"code": error.get("code")} if isinstance(error, dict) else None


def _without_left_overs(fields: dict[str, Any]) -> bool:
    """Takes them out; whether there were any."""
    listed = fields.get(_LISTED)
    is_listings = "cl" not in fields or (isinstance(listed, dict) and set(listed) == {"is_labeled"})
    found = _without(fields, [*_LEFT_OVER, _LISTED] if is_listings else _LEFT_OVER)
    for name in _attributes(fields):
        value, metadata = fields[name], fields[name + _METADATA]
        annotations = value.get("annotations") if isinstance(value, dict) else None
        for item in (value, metadata, *(annotations if isinstance(annotations, list) else ())):
            found = _without(item, _LEFT_OVER) or found
    return found


def _without(item: Any, keys: Sequence[str]) -> bool:
    if not isinstance(item, dict):
        return False
    # Converters call attributes as their labels, and a label may well be "errors": its value is no list.
    left = [key for key in keys if key in item and (key == _LISTED or isinstance(item[key], list))]
    for key in left:
        del item[key]
    return bool(left)


def _attributes(fields: Mapping[str, Any]) -> list[str]:
    """Names of label attributes: each has its metadata beside it."""
    return [name for name in fields if name + _METADATA in fields and name not in (_SOURCE, _PART)]


class _Stop(Exception):  # noqa: N818 - an event: after this nothing else of the line is looked at
    def __init__(self, found: Problem) -> None:
        self.found = found


class _Reading:
    """One line being read."""

    def __init__(self, text: str, fields: dict[str, Any], limits: LineLimits) -> None:
        self._text, self._fields, self._limits = text, fields, limits
        self._source: str | None = None
        self._size: tuple[int, int] | None = None
        self._labeled = False
        self._labels: list[str] = []
        self._boxes: list[Box] = []
        self._given = 0  # boxes so far, right or wrong
        self._problems: list[Problem] = []

    def line(self) -> Line:
        try:
            self._read()
        except _Stop as stop:
            self._problems = [stop.found]
        return Line(
            text=self._text,
            source_ref=self._source,
            fields=self._fields,
            image_labels=tuple(dict.fromkeys(self._labels)),
            boxes=tuple(self._boxes),
            size=self._size,
            labeled=self._labeled,
            problems=tuple(self._problems),
        )

    def _read(self) -> None:
        if _SOURCE not in self._fields:
            raise _Stop(problem(MISSING_SOURCE_REF))
        source = self._fields[_SOURCE]
        if not isinstance(source, str) or not _URI.fullmatch(source) or not _storable(source):
            raise _Stop(problem(INVALID_SOURCE_REF_FORMAT))
        self._source = source
        names = _attributes(self._fields)
        if not names:
            if set(self._fields) <= {_SOURCE, _PART}:
                self._problems.append(problem(UNANNOTATED_RECORD))
                return
            raise _Stop(problem(NO_LABEL_ATTRIBUTES))
        self._labeled = any(_says_something(self._fields[name]) for name in names)
        kinds = {name: self._kind(name) for name in names}
        for name in names:
            if kinds[name] == IMAGE_LABEL:
                self._check_label(name)
            elif kinds[name] == BOXES:
                self._check_boxes(name)
        for name in names:
            if kinds[name] == IMAGE_LABEL:
                self._take_label(name)
            elif kinds[name] == BOXES:
                self._take_boxes(name)
            else:
                self._problems.append(problem(UNSUPPORTED_USE_CASE_TYPE, (name + _METADATA,), name))
        if len(set(self._labels)) > self._limits.labels:
            self._problems.append(problem(TOO_MANY_IMAGE_LABELS))
        if not {IMAGE_LABEL, BOXES} & set(kinds.values()):
            self._problems.append(problem(NO_VALID_LABEL_ATTRIBUTES))
        elif set(kinds.values()) == {BOXES} and not self._given:
            self._problems.append(problem(NO_ANNOTATIONS))

    # First all that ends the reading of a line: whether attributes are what they have to be.

    def _kind(self, name: str) -> str:
        """The job type of an attribute."""
        metadata = self._fields[name + _METADATA]
        kind = metadata.get("type") if isinstance(metadata, dict) else None
        if not isinstance(kind, str):
            raise self._metadata(name)
        return kind

    def _check_label(self, name: str) -> None:
        metadata = self._fields[name + _METADATA]
        if not isinstance(self._fields[name], int) or isinstance(self._fields[name], bool):
            raise self._attribute(name)
        confidence = _number(metadata.get("confidence"))
        if not _labelled(metadata) or not _is_name(metadata.get("class-name")):
            raise self._metadata(name)
        if confidence is None or not 0 <= confidence <= 1:
            raise self._metadata(name)

    def _check_boxes(self, name: str) -> None:
        value, metadata = self._fields[name], self._fields[name + _METADATA]
        annotations = value.get("annotations", []) if isinstance(value, dict) else None
        if not isinstance(annotations, list) or _image_size(value) is None:
            raise self._attribute(name)
        if any(_sides(item) is None or not _is_id(item.get("class_id")) for item in annotations):
            raise self._attribute(name)
        objects, classes = metadata.get("objects"), metadata.get("class-map")
        if not _labelled(metadata) or not isinstance(objects, list) or not isinstance(classes, dict):
            raise self._metadata(name)
        if not all(map(_is_name, classes.values())):
            raise self._metadata(name)
        if sum(map(_is_sure, objects[: len(annotations)])) < len(annotations):
            raise _Stop(problem(MISSING_BOUNDING_BOX_CONFIDENCE, (name + _METADATA,)))
        if any(str(item["class_id"]) not in classes for item in annotations):
            raise _Stop(problem(MISSING_CLASS_MAP_ID, (name + _METADATA,)))

    def _attribute(self, name: str) -> _Stop:
        """What to raise where an attribute is not what it has to be; a number has no room for it."""
        where = (name,) if isinstance(self._fields[name], dict) else ()
        return _Stop(problem(INVALID_LABEL_ATTRIBUTE_FORMAT, where, name))

    def _metadata(self, name: str) -> _Stop:
        where = (name + _METADATA,) if isinstance(self._fields[name + _METADATA], dict) else ()
        return _Stop(problem(INVALID_LABEL_ATTRIBUTE_METADATA_FORMAT, where))

    # Then what they say.

    def _take_label(self, name: str) -> None:
        label = self._fields[name + _METADATA]["class-name"]
        if self._fits(label, name):
            self._labels.append(label)

    def _take_boxes(self, name: str) -> None:
        value, limits = self._fields[name], self._limits
        size = _image_size(value)
        assert size is not None
        annotations = value.get("annotations", [])
        if not annotations:
            self._problems.append(problem(NO_ATTRIBUTE_ANNOTATIONS, (name,)))
            return
        self._size = self._size or size
        classes = self._fields[name + _METADATA]["class-map"]
        self._given += len(annotations)
        used = {str(item["class_id"]) for item in annotations}
        if not all(self._fits(classes[one], name) for one in used):
            return
        if not limits.least_side <= min(size) <= max(size) <= limits.most_side:
            self._add_once(problem(INVALID_IMAGE_DIMENSION))
        if self._given > limits.boxes:
            self._problems.append(problem(TOO_MANY_BOUNDING_BOXES, (name,)))
        valid = list(self._valid(name, annotations, size, classes))
        if not valid:
            self._problems.append(problem(NO_VALID_ANNOTATIONS, (name,)))
        self._boxes += valid

    def _valid(
        self, name: str, annotations: Sequence[Any], size: tuple[int, int], classes: Mapping[str, str]
    ) -> Iterator[Box]:
        shrunk = min(1.0, self._limits.resized / max(size))
        for index, item in enumerate(annotations):
            sides = _sides(item)
            assert sides is not None
            left, top, width, height = sides
            where = (name, "annotations", index)
            if min(sides) < 0 or left + width > size[0] + _OFF or top + height > size[1] + _OFF:
                self._problems.append(problem(INVALID_BOUNDING_BOX, where))
            elif min(width, height) * shrunk <= 1:
                self._problems.append(problem(BOUNDING_BOX_TOO_SMALL, where))
            else:
                yield Box(classes[str(item["class_id"])], left, top, width, height, name, index)

    def _fits(self, label: str, name: str) -> bool:
        if len(label) <= self._limits.label_name:
            return True
        self._add_once(problem(INVALID_LABEL_NAME_LENGTH, (name + _METADATA,)))
        return False

    def _add_once(self, found: Problem) -> None:
        if found not in self._problems:
            self._problems.append(found)


def _says_something(value: Any) -> bool:
    """Whether an attribute is more than a list of boxes without any."""
    return not isinstance(value, dict) or bool(value.get("annotations"))


def _labelled(metadata: Mapping[str, Any]) -> bool:
    """Whether it says by whom and when; any text is a time."""
    return metadata.get("human-annotated") in ("yes", "no") and isinstance(metadata.get("creation-date"), str)


def _is_name(label: Any) -> bool:
    return isinstance(label, str) and bool(label.strip()) and _storable(label)


def _storable(text: str) -> bool:
    """Whether it can be written as UTF-8, and into a database."""
    return _encodable(text) and "\0" not in text


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can escape
        return False
    return True


def _is_sure(item: Any) -> bool:
    return isinstance(item, dict) and _number(item.get("confidence")) is not None


def _is_id(value: Any) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _sides(item: Any) -> tuple[float, float, float, float] | None:
    """Left, top, width and height."""
    if not isinstance(item, dict):
        return None
    left, top, width, height = (_number(item.get(name)) for name in ("left", "top", "width", "height"))
    if left is None or top is None or width is None or height is None:
        return None
    return left, top, width, height


def _image_size(value: Mapping[str, Any]) -> tuple[int, int] | None:
    """Width and height; they may stand in a list of one, as they should, or alone."""
    given = value.get("image_size")
    if isinstance(given, list) and len(given) == 1:
        (given,) = given
    if not isinstance(given, dict) or _number(given.get("depth")) is None:
        return None
    width, height = _number(given.get("width")), _number(given.get("height"))
    if width is None or height is None or min(width, height) < 1:
        return None
    return int(width), int(height)


def _number(value: Any) -> float | None:
    """A finite number, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None
