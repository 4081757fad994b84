"""The report: figures with honest intervals, doubts about the data, and a page that needs and runs nothing else."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import binomtest

from vigia_training.app.report_page import report_files
from vigia_training.app.report_parts import ReportFiles
from vigia_training.app.report_pictures import picture
from vigia_training.domain import intervals
from vigia_training.domain.dataset import Entry
from vigia_training.domain.evaluation import Judged, Overlap, measure
from vigia_training.domain.report import Evaluated, Report, report
from vigia_vision import decode
from vigia_vision.manifest import Label

SPOT = Label(name="spot", color="#D02020")
THRESHOLD = 0.5


def judged(number: int, anomalous: bool, score: float, overlaps: dict[str, Overlap] | None = None) -> Judged:
    entry = Entry(number, f"s3://b/{number}.png", "anomaly" if anomalous else "normal", "anomaly-label")
    sure = 0.5 + abs(score - THRESHOLD)
    return Judged(entry, score, score >= THRESHOLD, sure, overlaps or {})


def evaluated(results: Sequence[Judged], labels: Sequence[str] = (), **changes: object) -> Evaluated:
    base = Evaluated(
        arn="arn:aws:lookoutvision:us-east-1:123456789012:model/plates/1",
        project="plates",
        version="1",
        at=datetime(2026, 1, 31, tzinfo=UTC),
        threshold=THRESHOLD,
        labels=labels,
        results=results,
        learn=[Entry(1, "s3://b/learnt.png", "normal", "anomaly-label")],
        metrics=measure(results, labels, 1),
        pixels=64 * 64,
        model_pixels=32 * 32,
        parts={},
        digests={},
        provenance={"seed": "0"},
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def scored(normal: Sequence[float], anomalous: Sequence[float]) -> list[Judged]:
    pairs = [*((False, s) for s in normal), *((True, s) for s in anomalous)]
    return [judged(n, flag, score) for n, (flag, score) in enumerate(pairs)]


def warned(found: Report, kind: str) -> list[str]:
    return [uri for warning in found.warnings if warning.kind == kind for uri in warning.images]


# Intervals


@pytest.mark.parametrize(("count", "total"), [(0, 10), (3, 10), (10, 10), (1, 4000), (4000, 4000)])
def test_rates_have_exact_intervals(count: int, total: int) -> None:
    found = intervals.rate(count, total)
    exact = binomtest(count, total).proportion_ci(0.95, "exact")
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high))
    assert found.value == count / total


def test_a_rate_of_nothing_is_unknown() -> None:
    found = intervals.rate(0, 0)
    assert (found.value, found.low, found.high) == (None, 0.0, 1.0)


def test_perfect_figures_of_few_images_are_not_certain() -> None:
    assert intervals.rate(0, 10).high == pytest.approx(0.3085, abs=1e-4)
    assert intervals.f1(10, 0, 0).low == pytest.approx(0.818, abs=1e-3)
    assert 0.75 < (intervals.auroc(1.0, 10, 10).low or 0) < 0.85
    assert (intervals.auroc(1.0, 100, 100).low or 0) > 0.96
    assert (intervals.average_precision(1.0, 10).low or 0) == pytest.approx(10 / (10 + 1.96**2), abs=1e-3)


@given(st.floats(0, 1), st.integers(1, 400), st.integers(1, 400))
def test_intervals_of_ranking_lie_around_the_value(value: float, normal: int, anomalous: int) -> None:
    for found in (intervals.auroc(value, normal, anomalous), intervals.average_precision(value, anomalous)):
        assert found.low is not None
        assert found.high is not None
        assert 0 <= found.low <= value <= found.high <= 1
        assert found.high - found.low > 1e-4


def test_the_auroc_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    truth = 0.8983  # of two normal distributions 1.8 apart: Phi(1.8 / sqrt(2))
    draws = rng.normal(size=(400, 20)) + np.repeat([0.0, 1.8], 10)
    values = [(d[10:, None] > d[None, :10]).mean() for d in draws]
    held = [e.low <= truth <= e.high for e in (intervals.auroc(float(v), 10, 10) for v in values)]  # type: ignore[operator]
    assert 0.92 < np.mean(held) <= 1


def test_a_bootstrap_interval_is_about_that_of_the_mean() -> None:
    rows = np.random.default_rng(1).normal(0.5, 0.1, (100, 1))
    rows = np.concatenate([rows, np.ones_like(rows)], axis=1)
    ((low, high),) = intervals.resampled(rows, lambda sums: sums[:, :1] / sums[:, 1:], seed=0)
    assert (low, high) == pytest.approx((rows[:, 0].mean() - 0.0196, rows[:, 0].mean() + 0.0196), abs=0.005)


# Numbers


def test_the_figures_are_those_of_the_evaluation() -> None:
    found = report(evaluated(scored([0.1, 0.2, 0.7], [0.3, 0.8, 0.9, 0.95])))
    counts = found.image.confusion
    assert (counts.normal_accepted, counts.normal_rejected) == (2, 1)
    assert (counts.anomalous_found, counts.anomalous_missed) == (3, 1)
    assert found.image.false_reject_rate.value == pytest.approx(1 / 3)
    assert found.image.miss_rate.value == pytest.approx(1 / 4)
    assert found.image.f1.value == pytest.approx(0.75)
    assert found.image.roc_auc is not None
    assert found.image.roc_auc.value == pytest.approx(11 / 12)
    assert sum(found.scores.normal) == 3
    assert sum(b.right.total for b in found.reliability) == 7


@given(
    st.lists(st.integers(0, 20), max_size=12),
    st.lists(st.integers(0, 20), max_size=12),
)
def test_the_trade_off_counts_as_each_threshold_would_decide(normal: list[int], anomalous: list[int]) -> None:
    results = scored([n / 20 for n in normal], [a / 20 for a in anomalous])
    if not results:
        return
    rows = report(evaluated(results)).trade_off
    assert len(rows) <= 21
    assert [row.threshold for row in rows if row.current] == [THRESHOLD]
    possible = [
        (sum(n / 20 >= at for n in normal), sum(a / 20 < at for a in anomalous)) for at in np.arange(-0.025, 1.05, 0.05)
    ]
    for row in rows:
        mine = (row.false_rejects.count, row.misses.count)
        assert mine == (sum(n / 20 >= row.threshold for n in normal), sum(a / 20 < row.threshold for a in anomalous))
        beaten = any(p[0] <= mine[0] and p[1] <= mine[1] and p != mine for p in possible)
        assert row.best is not beaten


def test_where_a_class_is_missing_the_report_says_so() -> None:
    found = report(evaluated(scored([0.1, 0.2], [])))
    assert found.image.roc_auc is None
    assert found.curves.roc == []
    assert found.image.miss_rate.value is None
    assert any("No anomalous images were tested" in warning.message for warning in found.warnings)


def test_label_intervals_need_images_to_come_from() -> None:
    def of(images: int) -> Report:
        rng = np.random.default_rng(0)
        overlaps = [Overlap(int(both), 100, 100) for both in rng.integers(50, 100, images)]
        return report(evaluated([judged(n, True, 0.9, {"spot": o}) for n, o in enumerate(overlaps)], ["spot"]))

    (few,), (many,) = of(4).labels, of(40).labels
    assert (few.f1.low, few.f1.high) == (None, None)
    assert many.f1.low is not None
    assert many.f1.high is not None
    assert many.f1.low < many.f1.value < many.f1.high
    assert many.iou.low is not None
    assert many.iou.high is not None
    assert many.iou.low < many.iou.value < many.iou.high


def test_defects_are_counted_by_size() -> None:
    small, large = Overlap(0, 0, 8), Overlap(400, 500, 800)
    results = [judged(0, True, 0.3, {"spot": small}), judged(1, True, 0.9, {"spot": large}), judged(2, False, 0.1)]
    rows = report(evaluated(results, ["spot"])).sizes
    assert [(row.above, row.up_to, row.found.count, row.found.total) for row in rows] == [
        (0.001, 0.01, 0, 1),
        (0.1, 1.0, 1, 1),
    ]


def test_images_worth_a_look_are_the_clearest_errors_each_once() -> None:
    rng = np.random.default_rng(0)
    results = scored(rng.uniform(0, 1, 300).tolist(), rng.uniform(0, 1, 300).tolist())
    shown = report(evaluated(results)).shown
    assert len({one.uri for one in shown}) == len(shown) == 18
    misses = [one.score for one in shown if one.why == "miss"]
    assert misses == sorted(r.score for r in results if r.entry.anomalous)[:6]
    rejects = [one.score for one in shown if one.why == "false reject"]
    assert rejects == sorted((r.score for r in results if not r.entry.anomalous), reverse=True)[:6]


# Doubts about the data


def test_the_same_bytes_on_both_sides_are_named() -> None:
    results = scored([0.1, 0.2], [0.9])
    found = report(evaluated(results, digests={"s3://b/learnt.png": "x", "s3://b/1.png": "x", "s3://b/0.png": "y"}))
    assert warned(found, "duplicate") == ["s3://b/1.png"]
    assert warned(found, "contradiction") == []


def test_the_same_bytes_in_both_classes_are_named() -> None:
    found = report(evaluated(scored([0.1, 0.2], [0.9]), digests={"s3://b/0.png": "x", "s3://b/2.png": "x"}))
    assert warned(found, "contradiction") == ["s3://b/0.png", "s3://b/2.png"]
    assert warned(found, "duplicate") == ["s3://b/2.png"]


def test_images_deep_in_the_other_class_are_suspects() -> None:
    normal, anomalous = [0.1, 0.2, 0.15, 0.12, 0.97], [0.9, 0.95, 0.92, 0.93, 0.05, 0.4]
    found = report(evaluated(scored(normal, anomalous)))
    assert warned(found, "mislabel_suspect") == ["s3://b/4.png", "s3://b/9.png"]


def test_images_of_few_parts_are_no_independent_witnesses() -> None:
    results = scored([0.1] * 10, [0.9] * 10)
    parts = {result.entry.uri: number // 2 for number, result in enumerate(results)}
    (found,) = [w for w in report(evaluated(results, parts=parts)).warnings if w.kind == "few_parts"]
    assert found.message.startswith("The 20 test images show only 10 parts")
    parts = {result.entry.uri: number // 2 + number % 2 * 99 for number, result in enumerate(results[:12])}
    assert not [w for w in report(evaluated(results[:12], parts=parts)).warnings if w.kind == "few_parts"]


def test_marked_defects_too_small_to_be_seen_are_named() -> None:
    # One of the model's pixels stands for four of the image's.
    results = [judged(n, True, 0.9, {"spot": Overlap(0, 9, true)}) for n, true in enumerate((63, 64, 0))]
    assert warned(report(evaluated(results, ["spot"])), "tiny_objects") == ["s3://b/0.png"]


def test_what_training_has_to_say_comes_first_and_has_a_bound() -> None:
    found = report(evaluated(scored([0.1], [0.9]), notes=["few parts" * 1000] * 50))
    notes = [warning for warning in found.warnings if warning.kind == "note"]
    assert len(notes) == 20
    assert found.warnings[0].message.startswith("few parts")
    assert len(found.warnings[0].message) == 1000


# The page


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def files(given: Evaluated, labels: Sequence[Label] = (SPOT,), side: int = 64) -> ReportFiles:
    """With noise for images, which compresses worst, and masks over half of them."""
    noise = png(np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8))
    mask = np.zeros((side, side), np.uint8)
    mask[::2] = 1
    return report_files(given, lambda entry: (noise, mask, mask), labels)


def test_a_page_needs_nothing_and_runs_nothing() -> None:
    page = files(evaluated(scored([0.1, 0.6], [0.4, 0.9]))).html.decode()
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert not re.search(r"\bon\w+=", page)
    sources = re.findall(r'(?:src|href|action)="([^"]{0,30})', page)
    assert len(sources) == 4
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert "url(" not in page
    assert "@import" not in page


def test_what_customers_name_is_text() -> None:
    bad = '"><script>alert(1)</script>'
    result = judged(0, True, 0.9, {bad: Overlap(5, 9, 9)})
    result = replace(result, entry=replace(result.entry, uri=f"s3://b/{bad}\ud800"))
    given = evaluated([result, judged(1, False, 0.8)], [bad], project=bad, provenance={bad: bad}, notes=[bad])
    page = files(given, [Label(name=bad, color="#D02020")]).html.decode()
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 6


def test_the_same_results_give_the_same_bytes() -> None:
    given = evaluated([judged(n, n % 2 == 0, 0.9, {"spot": Overlap(n, 9, 9)}) for n in range(10)], ["spot"])
    assert files(given) == files(given)


def test_the_files_have_a_bound_however_many_images_and_labels() -> None:
    rng = np.random.default_rng(0)
    names = [f"label {n} " + "x" * 240 for n in range(100)]
    results = [
        judged(n, n % 2 == 0, float(rng.uniform()), {name: Overlap(5, 9, 9) for name in names}) for n in range(500)
    ]
    long = [replace(r, entry=replace(r.entry, uri=f"s3://b/{'k' * 1000}/{r.entry.line}")) for r in results]
    labels = [Label(name=name, color="#D02020") for name in names]
    found = files(evaluated(long, names), labels, side=320)
    assert found.html.count(b"<img ") == 24
    assert len(found.html) < 3_000_000
    assert len(found.json) < 500_000
    assert json.loads(found.json)["test_images"] == 500


def test_a_defect_of_few_pixels_stays_visible_in_a_small_picture() -> None:
    grey = np.full((1600, 2400, 3), 128, np.uint8)
    truth, answer = (np.zeros((1600, 2400), np.uint8) for _ in range(2))
    truth[400:403, 600:603] = 1
    answer[1200:1203, 1800:1803] = 1
    small = decode(picture(png(grey), truth, answer, ["#D02020"]))
    assert small.shape == (213, 320, 3)
    around = small[48:60, 74:86].astype(int)
    assert around.max() > 200 > 60 > around.min()
    red = small[154:166, 234:246].astype(int)
    assert (red[..., 0] - red[..., 1]).max() > 60
