"""The report of models that give labels: figures as the metrics have them, doubts about the data, and the page."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vigia_training.app.report_labels import label_report_files
from vigia_training.app.report_parts import ReportFiles
from vigia_training.domain import intervals
from vigia_training.domain.annotations import Annotation, Boxed
from vigia_training.domain.intervals import Estimate
from vigia_training.domain.label_evaluated import LabelsEvaluated
from vigia_training.domain.label_evaluation import measure_labels
from vigia_training.domain.label_outcomes import Examined, outcomes
from vigia_training.domain.label_report import LabelReport, label_report
from vigia_training.domain.reliability import reliability
from vigia_vision import Box, Finding
from vigia_vision.manifest import LETTERBOX, InputContract, LabelKind

WIDE, HIGH = 200, 100
NAMES = ("cap", "hat")


def box(label: str, left: float, top: float, width: float = 20, height: float = 20) -> Boxed:
    return Boxed(label, left, top, width, height)


def found(label: str, confidence: float, left: float, top: float, width: float = 20, height: float = 20) -> Finding:
    return Finding(label, confidence, Box(left / WIDE, top / HIGH, width / WIDE, height / HIGH))


def board(number: int, boxes: Sequence[Boxed], findings: Sequence[Finding]) -> Examined:
    annotation = Annotation(number, f"s3://b/{number}.png", (), tuple(boxes))
    return Examined(annotation, WIDE, HIGH, tuple(sorted(findings, key=lambda one: -one.confidence)))


def card(number: int, labels: Sequence[str], **confidences: float) -> Examined:
    findings = [Finding(name, value) for name, value in confidences.items()]
    annotation = Annotation(number, f"s3://b/{number}.png", tuple(labels), None)
    return Examined(annotation, WIDE, HIGH, tuple(sorted(findings, key=lambda one: -one.confidence)))


def evaluated(
    kind: LabelKind, results: Sequence[Examined], names: Sequence[str] = NAMES, **changes: object
) -> LabelsEvaluated:
    learn = [
        Annotation(n, f"s3://b/learnt-{n}.png", (name,), (box(name, 1, 1),)) for n, name in enumerate([*names] * 10)
    ]
    base = LabelsEvaluated(
        arn="arn:aws:rekognition:us-east-1:123456789012:project/boards/version/1/1700000000000",
        project="boards",
        version="1",
        at=datetime(2026, 1, 31, tzinfo=UTC),
        kind=kind,
        results=results,
        learn=learn,
        parts={uri: n for n, uri in enumerate([one.uri for one in [*learn, *(r.annotation for r in results)]])},
        metrics=measure_labels(results, names, kind, len(learn)),
        contract=InputContract(
            width=WIDE, height=HIGH, image_width=WIDE, image_height=HIGH, any_size=True, preparation=LETTERBOX
        ),
        sizes={one.uri: (WIDE, HIGH) for one in learn} | {one.annotation.uri: (WIDE, HIGH) for one in results},
        digests={},
        provenance={"seed": "0"},
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def warned(report: LabelReport, kind: str) -> list[str]:
    return [warning.message for warning in report.warnings if warning.kind == kind]


# Outcomes


def test_an_object_is_right_or_taken_for_another_or_only_said_or_only_there() -> None:
    result = board(
        1,
        [box("cap", 0, 0), box("cap", 60, 0), box("hat", 120, 0), box("hat", 160, 60)],
        [
            found("cap", 0.9, 1, 1),
            found("cap", 0.8, 0, 2),  # the same cap again
            found("hat", 0.7, 61, 1),  # a cap
            found("hat", 0.6, 160, 40, 20, 40),  # overlaps by half
            found("cap", 0.55, 0, 70),
            found("hat", 0.2, 120, 0),  # not sure enough
        ],
    )
    assert [
        (one.verdict, one.true, one.said, one.place)
        for one in outcomes(result, {"cap": 0.5, "hat": 0.5}, "object-detection")
    ] == [
        ("right", "cap", "cap", 0),
        ("false", None, "cap", None),
        ("confused", "cap", "hat", 1),
        ("right", "hat", "hat", 3),
        ("false", None, "cap", None),
        ("missed", "hat", None, 2),
    ]


def test_an_image_without_its_label_was_taken_for_the_surest_that_is_said() -> None:
    limits = {"cap": 0.5, "hat": 0.3, "bag": 0.3}

    def of(kind: LabelKind, *labels: str, **confidences: float) -> list[tuple[str, str | None, str | None]]:
        return [(o.verdict, o.true, o.said) for o in outcomes(card(1, labels, **confidences), limits, kind)]

    assert of("classification", "cap", cap=0.2, hat=0.5, bag=0.3) == [
        ("confused", "cap", "hat"),
        ("false", None, "bag"),
    ]
    assert of("classification", "cap", cap=0.4, hat=0.2) == [("missed", "cap", None)]
    assert of("classification", "cap", cap=0.6, hat=0.4) == [("right", "cap", "cap"), ("false", None, "hat")]
    assert of("multilabel-classification", "cap", cap=0.2, hat=0.5) == [("false", None, "hat"), ("missed", "cap", None)]


_SPOT = st.tuples(st.sampled_from(NAMES), st.integers(0, 8), st.integers(0, 4))


@given(
    st.lists(
        st.tuples(st.lists(_SPOT, max_size=5), st.lists(st.tuples(_SPOT, st.integers(1, 99)), max_size=8)),
        min_size=1,
        max_size=8,
    )
)
def test_all_counts_of_objects_agree(
    images: list[tuple[list[tuple[str, int, int]], list[tuple[tuple[str, int, int], int]]]],
) -> None:
    results = [
        board(
            number,
            [box(name, 20 * x, 20 * y) for name, x, y in true],
            [found(name, sure / 100, 20 * x + 4, 20 * y) for (name, x, y), sure in said],
        )
        for number, (true, said) in enumerate(images)
    ]
    if not any(result.annotation.boxes for result in results):
        return
    given = evaluated("object-detection", results)
    report = label_report(given)
    cells = {(cell.true, cell.said): cell.count for cell in report.confusion}
    for label, metrics in zip(report.labels, given.metrics.labels, strict=True):
        there = sum(one.label == label.name for r in results for one in r.annotation.boxes or ())
        said = sum(f.label == label.name and f.confidence >= label.threshold for r in results for f in r.findings)
        assert (label.right + label.missed, label.right + label.false) == (there, said)
        assert cells.get((label.name, label.name), 0) == label.right
        assert sum(count for (true, _), count in cells.items() if true == label.name) == there
        assert sum(count for (_, name), count in cells.items() if name == label.name) == said
        assert (label.precision.value or 0, label.recall.value or 0) == pytest.approx(
            (metrics.precision, metrics.recall)
        )
        assert label.f1.value == pytest.approx(metrics.f1)
    assert report.overall.f1.value == pytest.approx(given.metrics.f1)
    assert report.overall.average_precision.value == pytest.approx(given.metrics.average_precision)
    own, *asked = report.trade_off
    assert own.right == sum(label.right for label in report.labels)
    everything = [f for r in results for f in r.findings]
    tested = {one.label for r in results for one in r.annotation.boxes or ()}
    for row in asked:
        assert row.min_confidence is not None
        said = sum(f.label in tested and f.confidence >= row.min_confidence for f in everything)
        assert row.right + row.false == said


def test_a_confusion_matrix_of_exclusive_labels_counts_every_image_once() -> None:
    rng = np.random.default_rng(0)
    results = []
    for number in range(60):
        true = NAMES[number % 2]
        sure = float(rng.beta(4, 2))
        results.append(card(number, [true], **{true: sure, NAMES[1 - number % 2]: 1 - sure}))
    report = label_report(evaluated("classification", results))
    lines: Counter[str | None] = Counter()
    for cell in report.confusion:
        lines[cell.true] += cell.count
    assert lines == {"cap": 30, "hat": 30}
    accuracy = report.overall.accuracy
    assert accuracy is not None
    assert accuracy.count == sum(r.findings[0].label in r.annotation.labels for r in results)
    assert label_report(evaluated("multilabel-classification", results)).confusion == []


def test_two_by_two_of_labels_that_stand_alone() -> None:
    results = [
        card(0, ["cap"], cap=0.9, hat=0.1),
        card(1, ["cap", "hat"], cap=0.8, hat=0.9),
        card(2, [], cap=0.7, hat=0.2),
        card(3, ["cap"], cap=0.3, hat=0.3),
    ]
    cap, hat = label_report(evaluated("multilabel-classification", results)).labels
    assert (hat.right, hat.false, hat.missed, hat.absent) == (1, 0, 0, 3)
    assert (cap.right, cap.false, cap.missed, cap.absent) == (3, 1, 0, 0)


# Figures


def test_a_mean_of_figures_is_surer_than_each_and_never_certain() -> None:
    perfect = intervals.mean([intervals.rate(10, 10)] * 4)
    assert perfect == Estimate(1.0, pytest.approx(1 - 0.3085 / 2, abs=1e-4), 1.0)
    single = intervals.mean([intervals.rate(3, 10)])
    assert (single.low, single.high) == pytest.approx((intervals.rate(3, 10).low, intervals.rate(3, 10).high))
    rng = np.random.default_rng(0)
    true = np.array([0.9, 0.7, 0.95])
    held = [
        (e.low or 0) <= true.mean() <= (e.high or 1)
        for e in (intervals.mean([intervals.rate(int(c), 20) for c in rng.binomial(20, true)]) for _ in range(500))
    ]
    assert 0.94 < np.mean(held) <= 1


def test_the_calibration_error_is_the_distance_from_the_diagonal() -> None:
    confidence = np.array([0.95, 0.95, 0.85, 0.85, 0.15])
    right = np.array([True, True, True, False, False])
    bins, error = reliability(confidence, right, 0.0, 10)
    assert [one.right.total for one in bins] == [0, 1, 0, 0, 0, 0, 0, 0, 2, 2]
    assert error == pytest.approx(0.4 * 0.05 + 0.4 * 0.35 + 0.2 * 0.15)
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.1, 1, 20_000)
    assert reliability(sure, rng.uniform(size=20_000) < sure, 0.1, 9)[1] < 0.02
    assert reliability(np.zeros(0), np.zeros(0, bool), 0.0, 10)[1] == 0


def test_objects_are_counted_by_size_in_the_models_pixels_and_by_share() -> None:
    contract = InputContract(width=100, height=100, image_width=WIDE, image_height=HIGH, preparation=LETTERBOX)
    results = [board(1, [box("cap", 0, 0, 60, 60), box("cap", 100, 0, 80, 80)], [found("cap", 0.9, 100, 0, 80, 80)])]
    report = label_report(evaluated("object-detection", results, contract=contract))
    assert [(row.measure, row.above, row.up_to, row.found.count, row.found.total) for row in report.sizes] == [
        ("side in model pixels", 0.0, 32.0, 0, 1),  # 30 pixels: the image is halved
        ("side in model pixels", 32.0, 96.0, 1, 1),
        ("share of the image", 0.1, 1.0, 1, 2),
    ]


def test_images_worth_a_look_come_once_each_by_what_is_wrong() -> None:
    boxes = [box("cap", 0, 0), box("hat", 60, 0)]
    results = [
        board(0, boxes, [found("cap", 0.9, 0, 0), found("hat", 0.8, 60, 0)]),
        board(1, boxes, [found("cap", 0.9, 60, 0)]),
        board(2, boxes, []),
        board(3, boxes, [found("cap", 0.9, 0, 0), found("hat", 0.9, 60, 0), found("hat", 0.95, 120, 60)]),
        *(board(n, boxes, [found("cap", 0.9, 0, 0), found("hat", 0.9, 60, 0)]) for n in range(4, 12)),
    ]
    shown = label_report(evaluated("object-detection", results)).shown
    assert [(one.why, one.uri[7:-4]) for one in shown[:4]] == [
        ("confused", "1"),
        ("missed", "2"),
        ("false", "3"),
        ("closest call", "0"),
    ]
    assert [(one.wrong, one.right) for one in shown[:4]] == [(2, 0), (2, 0), (1, 2), (0, 2)]
    assert len({one.uri for one in shown}) == len(shown) == 9
    assert shown[2].marks[0].box == pytest.approx((0.6, 0.6, 0.1, 0.2))


# Doubts about the data


def test_the_same_bytes_across_the_split_or_labelled_differently_are_named() -> None:
    results = [board(0, [box("cap", 0, 0)], []), board(1, [box("cap", 1, 1)], []), board(2, [box("hat", 5, 5)], [])]
    digests = {"s3://b/0.png": "x", "s3://b/learnt-0.png": "x", "s3://b/1.png": "y", "s3://b/learnt-2.png": "y"}
    report = label_report(evaluated("object-detection", results, digests=digests))
    images = {warning.kind: warning.images for warning in report.warnings}
    assert images["contradiction"] == ["s3://b/learnt-0.png", "s3://b/0.png"]
    assert images["duplicate"] == ["s3://b/0.png", "s3://b/1.png"]


def test_what_looks_labelled_wrong_is_named() -> None:
    results = [card(n, ["cap"], cap=0.9, hat=0.1) for n in range(6)]
    results += [card(n, ["hat"], cap=0.1, hat=0.9) for n in range(6, 12)]
    results += [card(20, ["cap"], cap=0.05, hat=0.95)]
    report = label_report(evaluated("classification", results))
    suspects = [warning.images for warning in report.warnings if warning.kind == "mislabel_suspect"]
    assert suspects == [["s3://b/20.png"]] * 2
    # Of objects: one that nobody marked.
    boards = [board(n, [box("cap", 0, 0)], [found("cap", 0.8 + n / 100, 0, 0)]) for n in range(8)]
    boards += [board(8, [box("cap", 0, 0)], [found("cap", 0.8, 0, 0), found("cap", 0.95, 100, 60)])]
    report = label_report(evaluated("object-detection", boards, ["cap"]))
    assert [warning.images for warning in report.warnings if warning.kind == "mislabel_suspect"] == [["s3://b/8.png"]]


def test_labels_that_are_rare_or_shown_by_few_parts_or_unknown_are_named() -> None:
    learn = [
        Annotation(n, f"s3://b/l{n}.png", (name,), None)
        for n, name in enumerate(["cap"] * 200 + ["hat"] * 20 + ["bag"] * 3)
    ]
    results = [card(n, ["cap"], cap=0.9, hat=0.1, bag=0.1) for n in range(12)] + [
        card(12, ["fez"], cap=0.1, hat=0.1, bag=0)
    ]
    given = evaluated("classification", results, ["bag", "cap", "hat"])
    given = replace(
        given,
        learn=learn,
        parts={one.uri: min(n, 202) for n, one in enumerate(learn)},
        sizes={**given.sizes, **{one.uri: (WIDE, HIGH) for one in learn}},
    )
    report = label_report(given)
    assert [message.rpartition(": ")[2] for message in warned(report, "few_images")] == [
        "bag (0), hat (0).",
        "bag (3).",
        "hat (20).",
    ]
    assert warned(report, "few_parts")[0].endswith(": hat (3).")
    assert warned(report, "unknown_label")[0].endswith(": fez.")


def test_mixed_sizes_and_objects_too_small_to_be_seen_are_named() -> None:
    contract = InputContract(width=100, height=50, image_width=WIDE, image_height=HIGH, preparation=LETTERBOX)
    results = [board(0, [box("cap", 0, 0, 7, 50), box("hat", 50, 0, 9, 9)], [])]
    report = label_report(evaluated("object-detection", results, contract=contract))
    (tiny,) = warned(report, "tiny_objects")
    assert tiny.startswith("Test images")
    assert "(1 objects)" in tiny
    assert not warned(report, "mixed_sizes")
    given = evaluated("object-detection", results)
    given = replace(given, sizes={**given.sizes, "s3://b/learnt-0.png": (WIDE * 3, HIGH * 3)})
    assert "from 200x100 to 600x300" in warned(label_report(given), "mixed_sizes")[0]


def test_images_of_logos_alone_teach_their_label_and_are_no_scenes() -> None:
    logos = [Annotation(n, f"s3://b/logo-{n}.png", (name,), None) for n, name in enumerate(NAMES * 10)]
    results = [board(n, [box("cap", 0, 0), box("hat", 60, 0)], [found("cap", 0.9, 0, 0)]) for n in range(12)]
    base = evaluated("object-detection", results)
    report = label_report(
        replace(
            base,
            learn=logos,
            parts={one.uri: n for n, one in enumerate(logos)},
            sizes={**{one.uri: (64, 64) for one in logos}, **{r.annotation.uri: (WIDE * 8, HIGH * 8) for r in results}},
        )
    )
    assert [label.training_images for label in report.labels] == [10, 10]
    assert not warned(report, "few_images")
    assert not warned(report, "mixed_sizes")


# The page


def noise(side: int = 64) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


def files(given: LabelsEvaluated, side: int = 64) -> ReportFiles:
    picture = noise(side)
    return label_report_files(given, lambda uri: picture)


def mixed_boards(names: Sequence[str] = NAMES) -> list[Examined]:
    first, second = names[0], names[1]
    return [
        board(0, [box(first, 0, 0), box(second, 60, 0)], [found(first, 0.9, 0, 0), found(first, 0.8, 60, 0)]),
        board(1, [box(first, 0, 0)], [found(second, 0.95, 100, 60), found(first, 0.7, 0, 0)]),
        board(2, [box(second, 0, 0), box(second, 40, 40)], [found(second, 0.9, 0, 0)]),
    ]


def test_boxes_differ_in_stroke_and_sign_and_not_in_colour_alone() -> None:
    page = files(evaluated("object-detection", mixed_boards())).html.decode()
    drawn = set(re.findall(r'class="box (\w+)"[^>]*/><text[^>]*>(\S) ', page))
    assert drawn == {("right", "✓"), ("confused", "≠"), ("false", "✕"), ("missed", "○")}
    dashes = dict(re.findall(r"\.box\.(\w+)\{stroke:#\w+(?:;stroke-dasharray:([\d ]+))?\}", page))
    assert len(set(dashes.values())) == 4


@pytest.mark.parametrize("kind", ["object-detection", "classification", "multilabel-classification"])
def test_a_page_needs_nothing_and_runs_nothing_and_what_customers_name_is_text(kind: LabelKind) -> None:
    bad = '"><script>alert(1)</script>'
    cards = [card(0, [bad], **{bad: 0.9, "hat": 0.2}), card(1, ["hat"], **{bad: 0.7, "hat": 0.6})]
    results = mixed_boards([bad, "hat"]) if kind == "object-detection" else cards
    given = evaluated(kind, results, [bad, "hat"], project=bad, provenance={bad: bad}, notes=[bad])
    page = files(given).html.decode()
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 6
    assert "default-src 'none'" in page
    assert not re.search(r"<[^>]*\son\w+=", page)
    sources = re.findall(r'(?:src|href|action)="([^"]{0,30})', page)
    assert sources
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert "url(" not in page
    assert files(given) == files(given)


@pytest.mark.parametrize("kind", ["object-detection", "classification"])
def test_the_files_have_a_bound_however_many_images_labels_and_boxes(kind: LabelKind) -> None:
    rng = np.random.default_rng(0)
    names = [f"label {n} " + "x" * 240 for n in range(250)]
    results = []
    for number in range(60):
        said = [(names[i], float(rng.uniform())) for i in rng.integers(0, 250, 100)]
        if kind == "object-detection":
            spots = [(int(rng.integers(0, 9)) * 20.0, int(rng.integers(0, 4)) * 20.0) for _ in said]
            boxes = [box(name, *spot) for (name, _), spot in zip(said[::2], spots[::2], strict=True)]
            boards = [found(name, sure, *spot) for (name, sure), spot in zip(said, spots, strict=True)]
            results.append(board(number, boxes, boards))
        else:
            results.append(card(number, [said[0][0]], **dict(said)))
    results = [
        replace(r, annotation=replace(r.annotation, uri=f"s3://b/{'k' * 1000}/{r.annotation.line}")) for r in results
    ]
    made = files(evaluated(kind, results, names), side=320)
    assert made.html.count(b"<img ") <= 24
    assert len(made.html) < 4 * 1024 * 1024
    assert len(made.json) < 4 * 1024 * 1024
    assert json.loads(made.json)["format"] == "vigia-label-report/1"
