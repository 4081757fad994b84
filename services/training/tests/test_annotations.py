"""Manifest lines of labelled images, which kind of model they ask for, and how they are parted."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigia_training.domain.annotations import (
    Boxed,
    Boxes,
    kind_of,
    labels_in,
    parse_annotations,
    shows_logos,
    usable,
    wants_labels,
)
from vigia_training.domain.errors import BadData
from vigia_training.domain.label_split import split_labelled, untested
from vigia_training.domain.scale import detector_size

_HUMAN = {"human-annotated": "yes", "creation-date": "2013-11-18 02:53:27"}


def text(*lines: dict[str, object]) -> bytes:
    return b"".join(
        json.dumps({"source-ref": f"s3://b/{n}.jpg", **one}).encode() + b"\n" for n, one in enumerate(lines)
    )


def labelled(*names: str) -> dict[str, object]:
    line: dict[str, object] = {}
    for number, name in enumerate(names):
        line |= {f"label_{number}": number}
        line |= {f"label_{number}-metadata": {"class-name": name, "type": "groundtruth/image-classification", **_HUMAN}}
    return line


def multi(*ids: int) -> dict[str, object]:
    metadata = {
        "class-map": {"0": "rose", "1": "tulip", "2": "iris"},
        "type": "groundtruth/image-classification-multilabel",
    }
    return {"flowers": list(ids), "flowers-metadata": {**metadata, **_HUMAN}}


def boxed(*boxes: tuple[str, float, float, float, float], size: object = None) -> dict[str, object]:
    names = sorted({box[0] for box in boxes})
    annotations = [
        {"class_id": names.index(name), "left": left, "top": top, "width": width, "height": height}
        for name, left, top, width, height in boxes
    ]
    image = [{"width": 100, "height": 80, "depth": 3}] if size is None else size
    metadata = {"class-map": dict(enumerate(names)), "type": "groundtruth/object-detection"}
    return {"bb": {"image_size": image, "annotations": annotations}, "bb-metadata": {**metadata, **_HUMAN}}


def test_image_level_labels_are_read_from_all_attributes() -> None:
    one, two = parse_annotations(text(labelled("kitchen", "patio"), multi(2, 0)))
    assert (one.labels, one.boxes) == (("kitchen", "patio"), None)
    assert two.labels == ("iris", "rose")


def test_boxes_are_read_and_those_that_leave_the_image_are_not() -> None:
    (one,) = parse_annotations(
        text(boxed(("cap", 1, 2.5, 30, 40), ("cap", 90, 0, 20, 9), ("cap", -1, 0, 9, 9), ("cap", 5, 5, 1, 1)))
    )
    assert one.boxes == (Boxed("cap", 1, 2.5, 30, 40),)
    assert one.size == (100, 80)
    # The printed COCO mapping writes the size without a list.
    (plain,) = parse_annotations(text(boxed(("cap", 1, 2, 3, 4), size={"width": 100, "height": 80})))
    assert plain.size == (100, 80)


def test_a_line_may_say_which_part_it_shows() -> None:
    one, two, three = parse_annotations(
        text(labelled("a") | {"part-id": "B-7"}, labelled("a") | {"part-id": 12}, labelled("a"))
    )
    assert (one.part, two.part, three.part) == ("B-7", "12", None)


def test_what_is_left_over_from_other_tools_does_no_harm() -> None:
    line = labelled("kitchen") | {"errors": [], "cl-metadata": {"is_labeled": True}, "note-metadata": "text"}
    assert [one.labels for one in parse_annotations(b"\xef\xbb\xbf" + text(line, {}) + b"\n\n")] == [("kitchen",)]


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        ([labelled("a"), labelled("b")], "classification"),
        ([labelled("a"), labelled("a", "b")], "multilabel-classification"),
        ([multi(0), multi(1, 2)], "multilabel-classification"),
        ([boxed(("a", 1, 1, 9, 9)), boxed()], "object-detection"),
        ([boxed(("a", 1, 1, 9, 9)) | labelled("b")], "object-detection"),
        ([boxed(("a", 1, 1, 9, 9)), labelled("a"), labelled("b")], "classification"),
    ],
)
def test_the_labels_decide_the_kind(lines: list[dict[str, object]], kind: str) -> None:
    assert kind_of(parse_annotations(text(*lines))) == kind
    assert wants_labels(text(*lines))


@pytest.mark.parametrize(
    ("training", "test", "logos"),
    [
        ([labelled("a"), labelled("b")], [boxed(("a", 1, 1, 9, 9))], True),
        ([labelled("a")], [boxed(("a", 1, 1, 9, 9)), boxed()], True),
        ([labelled("a"), boxed()], [boxed(("a", 1, 1, 9, 9))], True),
        ([labelled("a"), labelled("b")], [labelled("a")], False),
        ([labelled("a"), labelled("b")], [boxed()], False),
        ([boxed(("a", 1, 1, 9, 9))], [boxed(("a", 1, 1, 9, 9))], False),
        ([boxed(("a", 1, 1, 9, 9)), labelled("a")], [boxed(("a", 1, 1, 9, 9))], False),
    ],
)
def test_boxes_in_the_test_images_alone_ask_for_logos_to_be_found(
    training: list[dict[str, object]], test: list[dict[str, object]], logos: bool
) -> None:
    assert shows_logos(parse_annotations(text(*training)), parse_annotations(text(*test))) == logos


def test_lines_labelled_for_another_kind_are_left_out() -> None:
    mixed = parse_annotations(text(boxed(("cap", 1, 1, 9, 9)), boxed(), boxed(("hat", 1, 1, 9, 9)), labelled("patio")))
    assert [one.line for one in usable(mixed, "object-detection")] == [1, 2, 3]
    assert [one.line for one in usable(mixed, "classification")] == [4]
    assert labels_in(usable(mixed, "object-detection"), "object-detection") == ("cap", "hat")
    with pytest.raises(BadData, match="1 labels; a model of the kind classification needs 2"):
        labels_in(usable(mixed, "classification"), "classification")


@pytest.mark.parametrize("names", [("normal",), ("Anomaly",)])
def test_verdicts_ask_for_a_model_that_judges(names: tuple[str, ...]) -> None:
    assert not wants_labels(text(labelled(*names)))
    assert not wants_labels(text(labelled(*names), labelled("unsure"), labelled(*names)))
    assert not wants_labels(b"{not json\n")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (labelled("x" * 257), "longer than 256"),
        (labelled(""), "class-name of label_0-metadata is no text"),
        ({**multi(0), "flowers": 3}, "no list of class ids"),
        (multi(7), "class 7 of flowers is not in its class-map"),
        (multi() | {"flowers": [True]}, "class True"),
        (boxed(("a", 1, 1, 9, float("nan"))), "box 1 of bb needs"),
        (boxed(size=[]), "no image_size"),
        (labelled("a") | {"part-id": True}, "part-id is neither a text nor a whole number"),
        ({"x-metadata": {"type": "groundtruth/image-classification", "class-name": "a"}}, "x is missing"),
    ],
)
def test_a_broken_line_is_named(line: dict[str, object], problem: str) -> None:
    with pytest.raises(BadData, match=f"line 2: .*{problem}"):
        parse_annotations(text(labelled("a"), line))


_NAMES = st.lists(st.sampled_from("abcd"), max_size=3, unique=True)


@given(st.lists(st.tuples(_NAMES, st.integers(0, 20)), min_size=2, max_size=60), st.integers(0, 9), st.booleans())
def test_a_split_keeps_parts_together_and_leaves_every_label_something_to_learn_from(
    images: list[tuple[list[str], int]], seed: int, grouped: bool
) -> None:
    labels, groups = [names for names, _ in images], [number for _, number in images]
    learn, test = split_labelled(labels, seed, groups=groups if grouped else None)
    assert sorted([*learn, *test]) == list(range(len(images)))
    for name in "abcd":
        count = sum(name in names for names in labels)
        assert sum(name in labels[i] for i in test) <= count // 2
    if grouped:
        assert not {groups[i] for i in learn} & {groups[i] for i in test}


def test_with_parts_of_several_images_about_a_fifth_of_each_label_tests() -> None:
    labels = [["a"]] * 120 + [["b"]] * 60
    groups = [number // 6 for number in range(180)]
    _, test = split_labelled(labels, 0, groups=groups)
    assert [sum(labels[i] == [name] for i in test) for name in "ab"] == [24, 12]
    _, test = split_labelled([["a"]] * 50 + [["b"]], 0, 0.8)
    assert len(test) == 40
    # Where parts are large, more than a fifth rather than nothing; where a label shows one part only, nothing.
    labels = [["a"]] * 30 + [["b"]] * 10
    _, test = split_labelled(labels, 0, groups=[number // 10 for number in range(40)])
    assert [sum(labels[i] == [name] for i in test) for name in "ab"] == [10, 0]
    assert untested(labels, test) == ["b"]


def test_a_fifth_of_each_label_tests() -> None:
    images = [["a"]] * 50 + [["b"]] * 20 + [["c"]] * 2
    _, test = split_labelled(images, 0)
    assert [sum(images[i] == [name] for i in test) for name in "abc"] == [10, 4, 1]


@pytest.mark.parametrize(
    ("image", "side", "size"),
    [
        ((640, 640), 30, (640, 640)),
        ((640, 480), 100, (640, 480)),
        ((4000, 3000), 1000, (736, 576)),  # large objects: as many pixels as 640 x 640 has
        ((4000, 3000), 20, (2016, 1504)),  # small ones: as many as make them ten pixels
        ((200, 200), 12, (416, 416)),  # enlarged until they can be seen
        ((200, 200), 2, (416, 416)),  # but not further than shows anything
    ],
)
def test_the_tensor_fits_the_objects(image: tuple[int, int], side: float, size: tuple[int, int]) -> None:
    assert detector_size([image] * 3, [[(side, side)] * 2, [(side, side)], []]) == size


_boxed = st.builds(Boxed, st.sampled_from(["cap", "hat"]), *[st.floats(-1e6, 1e6)] * 4)


@given(st.lists(_boxed, max_size=6), st.integers(-7, 7), st.slices(6))
def test_boxes_are_a_sequence_of_what_they_were_made_of(boxes: list[Boxed], index: int, part: slice) -> None:
    kept = Boxes(boxes)
    assert list(kept) == boxes
    assert list(kept[part]) == boxes[part]
    if -len(boxes) <= index < len(boxes):
        assert kept[index] == boxes[index]
    else:
        with pytest.raises(IndexError):
            kept[index]
    assert (kept == Boxes(iter(boxes)), hash(kept)) == (True, hash(Boxes(boxes)))
    assert kept != Boxes([*boxes, Boxed("cap", 0, 0, 1, 1)])
