"""What lines of manifests for Custom Labels say, and what is wrong with them."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigia_contracts import ground_truth as gt
from vigia_contracts.ground_truth import Box, Line, LineLimits, dropped, read_line, with_errors

Fields = dict[str, Any]
Change = Callable[[Fields], None]


def image(label: str = "sunrise", attribute: str = "weather") -> Fields:
    """A line with one image-level label."""
    return {"source-ref": "s3://bucket/images/a.png", **image_label(label, attribute)}


def image_label(label: str, attribute: str) -> Fields:
    return {
        attribute: 1,
        f"{attribute}-metadata": {
            "confidence": 1,
            "job-name": "labeling-job/weather",
            "class-name": label,
            "human-annotated": "yes",
            "creation-date": "2020-03-06T17:46:39.176",
            "type": "groundtruth/image-classification",
        },
    }


def boxed(*boxes: tuple[int, float, float, float, float], size: tuple[int, int] = (640, 480)) -> Fields:
    """A line with boxes: class, left, top, width, height."""
    names = ("class_id", "left", "top", "width", "height")
    return {
        "source-ref": "s3://bucket/images/b.png",
        "BB": {
            "image_size": [{"width": size[0], "height": size[1], "depth": 3}],
            "annotations": [dict(zip(names, box, strict=True)) for box in boxes],
        },
        "BB-metadata": {
            "objects": [{"confidence": 1} for _ in boxes],
            "class-map": {"0": "Echo", "1": "Echo Dot"},
            "type": "groundtruth/object-detection",
            "human-annotated": "yes",
            "creation-date": "2013-11-18T02:53:27",
            "job-name": "my job",
        },
    }


GOOD = (1, 399, 251, 155, 101)


def read(fields: object) -> Line:
    return read_line(json.dumps(fields).encode())


def found(line: Line) -> list[tuple[str, gt.Where]]:
    return [(one.code, one.where) for one in line.problems]


def test_what_lines_say() -> None:
    line = read(image() | image_label("beach", "place"))
    assert (line.source_ref, line.image_labels) == ("s3://bucket/images/a.png", ("sunrise", "beach"))
    assert (line.boxes, line.size, line.labeled, line.problems) == ((), None, True, ())
    assert line.usable

    line = read(boxed(GOOD, (0, 86, 65, 220.5, 334)) | image_label("shelf", "place"))
    assert line.boxes == (
        Box("Echo Dot", 399, 251, 155, 101, "BB", 0),
        Box("Echo", 86, 65, 220.5, 334, "BB", 1),
    )
    assert (line.image_labels, line.box_labels, line.size) == (("shelf",), ("Echo Dot", "Echo"), (640, 480))
    assert line.problems == ()


@pytest.mark.parametrize("name", ["errors", "warnings", "cl-errors"])
def test_a_label_may_be_called_as_what_is_left_over(name: str) -> None:
    fields = {**image(name, name), "BB": {}, "BB-metadata": {"type": "a"}}
    line = read_line(json.dumps(fields).encode())
    assert json.loads(line.text) == fields
    assert line.image_labels == (name,)
    for key in ("errors", "cl-errors"):
        written = json.loads(with_errors(line.fields, line.problems, key))
        assert written[name] == 1
        assert written["BB-metadata"][key]


def test_text_is_as_given_unless_something_was_left_over() -> None:
    given = json.dumps(image(), separators=(",", ":"))
    assert read_line(f"\ufeff{given}\r\n".encode()).text == given
    left = [{"code": "ERROR_INVALID_IMAGE", "message": "…"}]
    fields = boxed(GOOD)
    noisy = copy.deepcopy(fields) | {"errors": left, "warnings": left, "cl-errors": left, "cl-metadata": {}}
    noisy["BB"]["errors"] = noisy["BB"]["annotations"][0]["errors"] = noisy["BB-metadata"]["cl-errors"] = left
    line = read(noisy)
    assert line.fields == json.loads(line.text) == fields
    assert line.usable


@pytest.mark.parametrize(
    "date",
    [
        "2013-11-18T02:53:27",
        "2020-03-06T17:46:39.176",
        "2020-04-15T20:17:23.433061",
        "2021-06-22T10:11:18.006Z",
        "2013-11-18 02:53:27",
    ],
)
def test_dates_of_any_form_are_taken(date: str) -> None:
    fields = image()
    fields["weather-metadata"]["creation-date"] = date
    assert read(fields).usable


def test_what_the_guides_own_examples_need_is_taken() -> None:
    size_alone = boxed((1, 100.25, 7.5, 539.75001, 20.1))
    size_alone["BB"]["image_size"] = size_alone["BB"]["image_size"][0]
    unused = boxed(GOOD)
    unused["BB-metadata"]["class-map"] = {"1": "Echo Dot", "17": "cat"}
    del unused["BB-metadata"]["job-name"]
    more = boxed(GOOD)
    more["BB-metadata"]["objects"].append({"confidence": 0.4})
    for fields in (size_alone, unused, more, image() | {"part-id": 7, "note": {"errors": 1}}):
        assert read(fields).problems == ()
    assert json.loads(read(image() | {"note": {"errors": 1}}).text)["note"] == {"errors": 1}
    short = image(attribute="cl")  # whose metadata is no listing's
    assert read(short).image_labels == ("sunrise",)


def test_lines_that_are_no_json_are_replaced() -> None:
    for raw in (b"", b"{", b"[]", b"7", b"\xff{}", b'{"source-ref": NaN}', b'{"source-ref": 1e999}', b"[" * 5000):
        line = read_line(raw)
        assert found(line) == [("ERROR_INVALID_JSON_LINE", ())]
        assert dropped(line)
        assert not line.usable
        assert json.loads(with_errors(line.fields, line.problems)) == {
            "errors": [{"code": "ERROR_INVALID_JSON_LINE", "message": "The JSON Line has an invalid format."}]
        }


def test_a_line_has_100_000_characters_and_what_was_written_into_it_does_not_count() -> None:
    fields = image() | {"note": ""}
    fields["note"] = "é" * (100_000 - len(json.dumps(fields, ensure_ascii=False)))
    text = json.dumps(fields, ensure_ascii=False)
    assert len(text) == 100_000
    assert read_line(text.encode()).usable
    assert found(read_line(text.replace("éé", "ééé", 1).encode())) == [("ERROR_INVALID_JSON_LINE", ())]
    marked = with_errors(fields, [gt.problem(gt.INVALID_IMAGE)])
    assert read_line(marked.encode()).usable


@pytest.mark.parametrize("source", [7, None, "", "https://bucket/a.png", "s3://bucket", "s3:///a.png", "s3://b/\0.png"])
def test_addresses_that_are_none(source: object) -> None:
    line = read(image() | {"source-ref": source})
    assert found(line) == [("ERROR_INVALID_SOURCE_REF_FORMAT", ())]
    assert dropped(line)


def test_without_an_address() -> None:
    line = read({"sourceref": "s3://bucket/a.png"})
    assert [(one.code, one.message) for one in line.problems] == [
        ("ERROR_MISSING_SOURCE_REF", "The source-ref key is missing.")
    ]
    assert dropped(line)


def test_an_image_nobody_labelled_is_ignored() -> None:
    line = read({"source-ref": "s3://bucket/a.png"})
    assert found(line) == [("WARNING_UNANNOTATED_RECORD", ())]
    assert (line.ignored, line.invalid, line.labeled, dropped(line)) == (True, False, False, False)
    assert json.loads(with_errors(line.fields, line.problems)) == {
        "source-ref": "s3://bucket/a.png",
        "warnings": [{"code": "WARNING_UNANNOTATED_RECORD", "message": "Record is unannotated."}],
    }


def test_an_image_without_any_box_is_ignored_unless_it_has_other_labels() -> None:
    for without in (False, True):
        fields = boxed()
        if without:
            del fields["BB"]["annotations"]
        line = read(fields)
        assert found(line) == [("WARNING_NO_ATTRIBUTE_ANNOTATIONS", ("BB",)), ("WARNING_NO_ANNOTATIONS", ())]
        assert (line.ignored, line.labeled) == (True, False)
        written = json.loads(with_errors(line.fields, line.problems))
        assert written["BB"]["warnings"][0]["message"] == "No attribute annotations were found."
        assert written["warnings"][0]["message"] == "No annotations were found."
    other = read(boxed() | image_label("shelf", "place"))
    assert found(other) == [("WARNING_NO_ATTRIBUTE_ANNOTATIONS", ("BB",))]
    assert other.usable


def _set(*path: str | int, to: object) -> Change:
    def change(fields: Fields) -> None:
        item: Any = fields
        for step in path[:-1]:
            item = item[step]
        item[path[-1]] = to

    return change


def _drop(*path: str | int) -> Change:
    def change(fields: Fields) -> None:
        item: Any = fields
        for step in path[:-1]:
            item = item[step]
        del item[path[-1]]

    return change


ATTRIBUTE = "ERROR_INVALID_LABEL_ATTRIBUTE_FORMAT"
METADATA = "ERROR_INVALID_LABEL_ATTRIBUTE_METADATA_FORMAT"


@pytest.mark.parametrize(
    ("change", "code", "where"),
    [
        (_drop("BB"), "ERROR_NO_LABEL_ATTRIBUTES", ()),
        (_drop("BB-metadata"), "ERROR_NO_LABEL_ATTRIBUTES", ()),
        (_set("BB", to=7), ATTRIBUTE, ()),
        (_drop("BB", "image_size"), ATTRIBUTE, ("BB",)),
        (_set("BB", "image_size", to=[]), ATTRIBUTE, ("BB",)),
        (_drop("BB", "image_size", 0, "depth"), ATTRIBUTE, ("BB",)),
        (_set("BB", "image_size", 0, "width", to=0), ATTRIBUTE, ("BB",)),
        (_set("BB", "image_size", 0, "width", to=10**400), ATTRIBUTE, ("BB",)),
        (_set("BB", "annotations", to={}), ATTRIBUTE, ("BB",)),
        (_set("BB", "annotations", 0, to=7), ATTRIBUTE, ("BB",)),
        (_set("BB", "annotations", 0, "left", to="7"), ATTRIBUTE, ("BB",)),
        (_drop("BB", "annotations", 0, "class_id"), ATTRIBUTE, ("BB",)),
        (_set("BB-metadata", to="none"), METADATA, ()),
        (_drop("BB-metadata", "type"), METADATA, ("BB-metadata",)),
        (_drop("BB-metadata", "class-map"), METADATA, ("BB-metadata",)),
        (_set("BB-metadata", "class-map", "1", to=""), METADATA, ("BB-metadata",)),
        (_set("BB-metadata", "class-map", "1", to="\ud800"), METADATA, ("BB-metadata",)),
        (_drop("BB-metadata", "objects"), METADATA, ("BB-metadata",)),
        (_drop("BB-metadata", "creation-date"), METADATA, ("BB-metadata",)),
        (_set("BB-metadata", "human-annotated", to=True), METADATA, ("BB-metadata",)),
        (_set("BB-metadata", "objects", to=[]), "ERROR_MISSING_BOUNDING_BOX_CONFIDENCE", ("BB-metadata",)),
        (_drop("BB-metadata", "objects", 0, "confidence"), "ERROR_MISSING_BOUNDING_BOX_CONFIDENCE", ("BB-metadata",)),
        (_drop("BB-metadata", "class-map", "1"), "ERROR_MISSING_CLASS_MAP_ID", ("BB-metadata",)),
    ],
)
def test_what_ends_the_reading_of_a_line_with_boxes(change: Change, code: str, where: gt.Where) -> None:
    fields = boxed(GOOD, (0, -1, 0, 10, 10))  # the second box is off the frame: not looked at any more
    change(fields)
    line = read(fields)
    assert found(line) == [(code, where)]
    assert (line.usable, dropped(line)) == (False, False)
    assert line.source_ref == "s3://bucket/images/b.png"


@pytest.mark.parametrize(
    ("change", "code", "where"),
    [
        (_set("weather", to="1"), ATTRIBUTE, ()),
        (_set("weather", to=[0]), ATTRIBUTE, ()),
        (_drop("weather-metadata", "class-name"), METADATA, ("weather-metadata",)),
        (_drop("weather-metadata", "confidence"), METADATA, ("weather-metadata",)),
        (_set("weather-metadata", "confidence", to=1.5), METADATA, ("weather-metadata",)),
        (
            _set("weather-metadata", "class-name", to="x" * 257),
            "ERROR_INVALID_LABEL_NAME_LENGTH",
            ("weather-metadata",),
        ),
    ],
)
def test_labels_that_are_none(change: Change, code: str, where: gt.Where) -> None:
    fields = image()
    change(fields)
    line = read(fields)
    assert found(line) == [(code, where)]
    assert line.image_labels == ()
    assert (line.usable, line.labeled) == (False, True)


def test_the_message_names_the_attribute() -> None:
    line = read(image() | {"weather": "1"})
    assert line.problems[0].message == "The format of the label attribute weather is invalid."


def test_a_name_of_256_characters_is_none_too_long() -> None:
    assert read(image("x" * 256)).usable


@pytest.mark.parametrize("kind", ["groundtruth/wrongtype", "groundtruth/image-classification-multilabel"])
def test_other_jobs_are_told_as_the_guide_shows(kind: str) -> None:
    fields = boxed(GOOD)
    fields["BB-metadata"]["type"] = kind
    line = read(fields)
    assert found(line) == [
        ("ERROR_UNSUPPORTED_USE_CASE_TYPE", ("BB-metadata",)),
        ("ERROR_NO_VALID_LABEL_ATTRIBUTES", ()),
    ]
    listed = json.loads(with_errors(line.fields, line.problems, "cl-errors", line.labeled))
    assert listed["BB-metadata"]["cl-errors"] == [
        {
            "code": "ERROR_UNSUPPORTED_USE_CASE_TYPE",
            "message": "The use case type of the BB-metadata label attribute metadata is unsupported. "
            "Check the type field.",
        }
    ]
    assert listed["cl-metadata"] == {"is_labeled": True}
    assert listed["cl-errors"] == [
        {"code": "ERROR_NO_VALID_LABEL_ATTRIBUTES", "message": "No valid label attributes found."}
    ]
    beside = read(fields | image_label("shelf", "place"))
    assert found(beside) == [("ERROR_UNSUPPORTED_USE_CASE_TYPE", ("BB-metadata",))]
    assert beside.invalid


def test_a_wrong_box_costs_itself_alone() -> None:
    line = read(boxed(GOOD, (0, -1, 0, 10, 10), (0, 600, 0, 41, 10), (1, 0, 0, 1, 30), (0, 5, 5, 9, 9)))
    assert found(line) == [
        ("ERROR_INVALID_BOUNDING_BOX", ("BB", "annotations", 1)),
        ("ERROR_INVALID_BOUNDING_BOX", ("BB", "annotations", 2)),
        ("ERROR_BOUNDING_BOX_TOO_SMALL", ("BB", "annotations", 3)),
    ]
    assert [box.index for box in line.boxes] == [0, 4]
    assert line.usable
    written = json.loads(with_errors(line.fields, line.problems))
    assert "errors" not in written
    assert [len(item.get("errors", ())) for item in written["BB"]["annotations"]] == [0, 1, 1, 1, 0]


def test_boxes_are_measured_on_images_of_1280_pixels() -> None:
    # The guide's example, and its neighbours: 3000 pixels become 1280, so 2.34 become one.
    line = read(boxed((1, 0, 0, 1, 1), (0, 86, 65, 220, 334), (1, 0, 0, 2, 9), (1, 0, 0, 3, 3), size=(3000, 3000)))
    assert found(line) == [
        ("ERROR_BOUNDING_BOX_TOO_SMALL", ("BB", "annotations", 0)),
        ("ERROR_BOUNDING_BOX_TOO_SMALL", ("BB", "annotations", 2)),
    ]
    assert line.problems[0].message == "The height and width of the bounding box is too small."


def test_without_a_valid_box_the_line_is_lost() -> None:
    line = read(boxed((0, 0, 0, 641, 10)))
    assert found(line) == [
        ("ERROR_INVALID_BOUNDING_BOX", ("BB", "annotations", 0)),
        ("ERROR_NO_VALID_ANNOTATIONS", ("BB",)),
    ]
    assert line.invalid


def test_50_boxes_are_the_most() -> None:
    assert read(boxed(*[GOOD] * 50)).usable
    line = read(boxed(*[GOOD] * 51))
    assert found(line) == [("ERROR_TOO_MANY_BOUNDING_BOXES", ("BB",))]
    assert line.invalid


def test_50_labels_of_an_image_are_the_most() -> None:
    fields: Fields = {"source-ref": "s3://b/a.png"}
    for number in range(50):
        fields |= image_label(f"is {number}", f"is-{number}")
    assert read(fields | image_label("is 0", "again")).usable
    line = read(fields | image_label("one more", "more"))
    assert found(line) == [("ERROR_TOO_MANY_IMAGE_LABELS", ())]
    assert line.invalid
    assert not dropped(line)
    assert read_line(json.dumps(fields).encode(), LineLimits(labels=49)).invalid


@pytest.mark.parametrize("size", [(63, 480), (640, 4097)])
def test_stated_sizes_have_bounds(size: tuple[int, int]) -> None:
    line = read(boxed((1, 2, 2, 20, 20), size=size))
    assert found(line) == [("ERROR_INVALID_IMAGE_DIMENSION", ())]
    assert line.invalid


def test_problems_come_once_however_often_a_line_is_read() -> None:
    assert with_errors(boxed(GOOD), read(boxed(GOOD)).problems) == json.dumps(boxed(GOOD))


def test_a_place_that_is_not_there_is_the_line() -> None:
    written = with_errors({"source-ref": "s3://b/a"}, [gt.problem(gt.NO_VALID_ANNOTATIONS, ("BB",))])
    assert json.loads(written)["errors"][0]["code"] == "ERROR_NO_VALID_ANNOTATIONS"


KEYS = st.sampled_from(
    ["source-ref", "BB", "BB-metadata", "cl", "cl-metadata", "errors", "warnings", "cl-errors", "annotations", "type"]
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 10**18),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
    st.sampled_from(["s3://b/a.png", "groundtruth/image-classification", "groundtruth/object-detection", "yes"]),
)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6))


@st.composite
def nearly_right(draw: st.DrawFn) -> Fields:
    """A line as it should be, with something in it replaced or taken away, some of the time."""
    numbers = st.floats(-2, 700) | st.integers(-2, 700)
    boxes = draw(st.lists(st.tuples(st.integers(0, 2), numbers, numbers, numbers, numbers), max_size=4))
    fields = boxed(*boxes, size=draw(st.sampled_from([(640, 480), (3000, 900), (60, 60)])))
    if draw(st.booleans()):
        fields |= image_label(draw(st.text(max_size=3)), "weather")
    for _ in range(draw(st.integers(0, 2))):
        item: Any = fields
        while True:
            keys: list[Any] = list(item) if isinstance(item, dict) else list(range(len(item)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(item[key], dict | list) and draw(st.integers(0, 3)):
                item = item[key]
                continue
            if draw(st.booleans()):
                item[key] = draw(VALUES)
            else:
                del item[key]
            break
    return fields


def _holds(line: Line) -> None:
    """What is so of every line."""
    assert not line.usable or line.image_labels or line.boxes
    assert line.invalid + line.ignored + line.usable == 1
    assert not line.problems or all(one.message for one in line.problems)
    assert read_line(line.text.encode()).problems == line.problems or line.fields is None
    again = read_line(with_errors(line.fields, line.problems).encode())
    assert (again.problems, again.fields) == (line.problems, line.fields)
    if line.fields is not None:
        listed = read_line(with_errors(line.fields, line.problems, "cl-errors", line.labeled).encode())
        assert (listed.problems, listed.fields) == (line.problems, line.fields)


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_are_read(raw: bytes) -> None:
    _holds(read_line(raw))


@given(VALUES | st.dictionaries(KEYS, VALUES, max_size=9))
def test_any_json_is_read(fields: object) -> None:
    _holds(read(fields))


@given(nearly_right())
def test_a_manifest_with_validation_has_the_same_problems(fields: Fields) -> None:
    _holds(read(fields))
