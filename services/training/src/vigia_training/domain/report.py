"""The evaluation report of a version in numbers: how good it is, how sure that is, and what to look at.

Everything follows from the judged test images; the same ones give the same report. Lists have bounds, so that a report
of many images is no larger than one of few.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from vigia_contracts.training import ClassMetrics, ModelMetrics
from vigia_training.domain import intervals
from vigia_training.domain.curves import points, thinned
from vigia_training.domain.dataset import Entry
from vigia_training.domain.evaluation import Judged, Overlap
from vigia_training.domain.intervals import Estimate, Rate
from vigia_training.domain.reliability import Reliability, reliability
from vigia_training.domain.suspicions import DataWarning, suspicions

FORMAT: Final = "vigia-report/1"

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Why = Literal["miss", "false reject", "lowest overlap", "closest call"]

#: Images shown for each reason.
_SHOWN_EACH = 6
_CURVE_POINTS = 200
_BINS = 25
_CONFIDENCE_BINS = 5
#: Thresholds of the trade-off: round ones, and so many of those that no other beats in both rates.
_ROUND = tuple(round(i / 10, 1) for i in range(1, 10))
_BEST = 11
#: Shares of the image's pixels that part small defects from large ones.
_SIZES = (0.0, 0.001, 0.01, 0.1, 1.0)
#: A label in fewer test images than this has figures, but no interval: a bootstrap of so few means nothing.
_LEAST_IMAGES = 5


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What a report is made of. ``pixels``: of one image; ``model_pixels``: of what the model sees of it.

    By address of each image, ``parts``: a number, the same of images that show one part, and ``digests`` of the bytes.
    ``notes``: what training itself has to say of the data.
    """

    arn: str
    project: str
    version: str
    at: datetime
    threshold: float
    labels: Sequence[str]
    results: Sequence[Judged]
    learn: Sequence[Entry]
    metrics: ModelMetrics
    pixels: int
    model_pixels: int
    parts: Mapping[str, int]
    digests: Mapping[str, str]
    provenance: Mapping[str, str]
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Confusion:
    """Test images by class and verdict."""

    normal_accepted: int
    normal_rejected: int
    anomalous_found: int
    anomalous_missed: int


@dataclass(frozen=True, slots=True)
class ImageFigures:
    """Figures over images at the threshold; those of ranking are None where a class is missing."""

    confusion: Confusion
    false_reject_rate: Rate
    miss_rate: Rate
    precision: Rate
    recall: Rate
    f1: Estimate
    roc_auc: Estimate | None
    average_precision: Estimate | None


@dataclass(frozen=True, slots=True)
class LabelFigures:
    """Pixel figures of one label. ``test_images``: those in which it is; ``iou``: mean over images."""

    name: str
    test_images: int
    precision: Estimate
    recall: Estimate
    f1: Estimate
    iou: Estimate


@dataclass(frozen=True, slots=True)
class Curves:
    """Points (x, y): false-reject rate and recall; recall and precision. Empty where a class is missing.

    ``errors``: thresholds from 0 to 1 with the rates of false rejects and of misses, None of a class that is missing.
    """

    roc: list[tuple[float, float]]
    precision_recall: list[tuple[float, float]]
    errors: list[tuple[float, float | None, float | None]]


@dataclass(frozen=True, slots=True)
class Histogram:
    """Test images by score, in bins of the same width from 0 to 1."""

    normal: list[int]
    anomalous: list[int]


@dataclass(frozen=True, slots=True)
class TradeOff:
    """What another threshold would have done. ``best``: no threshold has fewer errors of one kind and no more of the
    other; ``current``: it is the version's own."""

    threshold: float
    false_rejects: Rate
    misses: Rate
    best: bool
    current: bool


@dataclass(frozen=True, slots=True)
class SizeFigures:
    """Anomalous images whose marked defects cover more than ``above`` and at most ``up_to`` of the image: found."""

    above: float
    up_to: float
    found: Rate


@dataclass(frozen=True, slots=True)
class Shown:
    """A test image that is worth a look. ``iou``: of all labels together, where truth and answer have masks."""

    why: Why
    uri: str
    anomalous: bool
    judged_anomalous: bool
    score: float
    confidence: float
    iou: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """All of it, as the JSON file has it."""

    format: str
    model_arn: str
    project: str
    model_version: str
    evaluated_at: str
    threshold: float
    training_images: int
    test_images: int
    interval: float
    warnings: list[DataWarning]
    image: ImageFigures
    labels: list[LabelFigures]
    sizes: list[SizeFigures]
    trade_off: list[TradeOff]
    curves: Curves
    scores: Histogram
    reliability: list[Reliability]
    calibration_error: float
    shown: list[Shown]
    provenance: dict[str, str]

    def to_json(self) -> bytes:
        """The file's bytes."""
        return json.dumps(asdict(self), indent=1, allow_nan=False).encode()


def report(given: Evaluated) -> Report:
    """The report of a version that was judged on at least one image."""
    results = given.results
    confidence = np.array([r.confidence for r in results], dtype=np.float64)
    right = np.array([r.is_anomalous == r.entry.anomalous for r in results])
    bins, error = reliability(confidence, right, 0.5, _CONFIDENCE_BINS)
    return Report(
        format=FORMAT,
        model_arn=given.arn,
        project=given.project,
        model_version=given.version,
        evaluated_at=given.at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        threshold=given.threshold,
        training_images=given.metrics.training_images,
        test_images=len(results),
        interval=0.95,
        warnings=suspicions(
            results,
            given.learn,
            given.digests,
            given.notes,
            given.labels,
            given.model_pixels / given.pixels,
            given.parts,
        ),
        image=_image(results, given.metrics),
        labels=_labels(results, given.metrics.classes),
        sizes=_sizes(results, given.pixels),
        trade_off=_trade_off(results, given.threshold),
        curves=_curves(results),
        scores=_histogram(results),
        reliability=bins,
        calibration_error=error,
        shown=[shown for _, shown in worth_a_look(results)],
        provenance=dict(given.provenance),
    )


def worth_a_look(results: Sequence[Judged]) -> list[tuple[Judged, Shown]]:
    """At most 24 images, each once: the clearest misses and false rejects, the poorest masks, the closest calls."""
    wrong = [r for r in results if r.is_anomalous != r.entry.anomalous]
    right = [r for r in results if r.is_anomalous == r.entry.anomalous]
    overlapping = [(iou, r) for r in right if r.entry.anomalous and (iou := _iou(r)) is not None and iou < 1]
    candidates: list[tuple[Why, list[Judged]]] = [
        ("miss", sorted((r for r in wrong if r.entry.anomalous), key=lambda r: r.score)),
        ("false reject", sorted((r for r in wrong if not r.entry.anomalous), key=lambda r: -r.score)),
        ("lowest overlap", [r for _, r in sorted(overlapping, key=lambda pair: pair[0])]),
        ("closest call", sorted(right, key=lambda r: r.confidence)),
    ]
    chosen: dict[int, tuple[Judged, Shown]] = {}
    for why, found in candidates:
        for r in [r for r in found if id(r) not in chosen][:_SHOWN_EACH]:
            shown = Shown(why, r.entry.uri, r.entry.anomalous, r.is_anomalous, r.score, r.confidence, _iou(r))
            chosen[id(r)] = (r, shown)
    return list(chosen.values())


def _iou(result: Judged) -> float | None:
    both = sum(o.both for o in result.overlaps.values())
    union = sum(o.answered + o.true - o.both for o in result.overlaps.values())
    return both / union if union else None


def _scores(results: Sequence[Judged], anomalous: bool) -> Floats:
    return np.sort(np.array([r.score for r in results if r.entry.anomalous is anomalous], dtype=np.float64))


def _image(results: Sequence[Judged], metrics: ModelMetrics) -> ImageFigures:
    outcomes = [(r.entry.anomalous, r.is_anomalous) for r in results]
    found, missed = outcomes.count((True, True)), outcomes.count((True, False))
    rejected, accepted = outcomes.count((False, True)), outcomes.count((False, False))
    normal, anomalous = rejected + accepted, found + missed
    both = bool(normal and anomalous)
    return ImageFigures(
        confusion=Confusion(accepted, rejected, found, missed),
        false_reject_rate=intervals.rate(rejected, normal),
        miss_rate=intervals.rate(missed, anomalous),
        precision=intervals.rate(found, found + rejected),
        recall=intervals.rate(found, anomalous),
        f1=intervals.f1(found, rejected, missed),
        roc_auc=intervals.auroc(metrics.roc_auc, normal, anomalous) if both else None,
        average_precision=intervals.average_precision(metrics.average_precision, anomalous) if both else None,
    )


def _labels(results: Sequence[Judged], classes: Sequence[ClassMetrics]) -> list[LabelFigures]:
    """The intervals are of a bootstrap over images, the same draws for every label."""
    known = [r.overlaps for r in results if r.overlaps]
    if not classes:
        return []
    rows = np.array([[_row(overlaps[c.name]) for c in classes] for overlaps in known], dtype=np.float64)
    bounds = intervals.resampled(rows.reshape(len(known), -1), _pixel_figures, seed=0)
    figures = []
    for number, metrics in enumerate(classes):
        images = sum(overlaps[metrics.name].true > 0 for overlaps in known)
        points = (metrics.precision, metrics.recall, metrics.f1, metrics.iou)
        own = bounds[len(points) * number :][: len(points)]
        pairs = [pair if images >= _LEAST_IMAGES else (None, None) for pair in own]
        estimates = [Estimate(point, low, high) for point, (low, high) in zip(points, pairs, strict=True)]
        figures.append(LabelFigures(metrics.name, images, *estimates))
    return figures


def _row(overlap: Overlap) -> tuple[float, ...]:
    union = overlap.answered + overlap.true - overlap.both
    return overlap.both, overlap.answered, overlap.true, overlap.both / union if union else 0.0, float(union > 0)


def _pixel_figures(sums: Floats) -> Floats:
    """Precision, recall, F1 and mean IoU of each label, of sums of its rows ``[draws, labels * 5]``."""
    both, answered, true, iou, images = np.moveaxis(sums.reshape(len(sums), -1, 5), 2, 0)
    pairs = ((both, answered), (both, true), (2 * both, answered + true), (iou, images))
    return np.stack([above / np.maximum(below, 1) for above, below in pairs], axis=2).reshape(len(sums), -1)


def _sizes(results: Sequence[Judged], pixels: int) -> list[SizeFigures]:
    marked = [(sum(o.true for o in r.overlaps.values()) / pixels, r.is_anomalous) for r in results if r.entry.anomalous]
    rows = []
    for above, up_to in pairwise(_SIZES):
        verdicts = [found for share, found in marked if above < share <= up_to]
        if verdicts:
            rows.append(SizeFigures(above, up_to, intervals.rate(sum(verdicts), len(verdicts))))
    return rows


def _trade_off(results: Sequence[Judged], current: float) -> list[TradeOff]:
    normal, anomalous = _scores(results, False), _scores(results, True)
    values = np.unique([r.score for r in results])
    # All that thresholds can do: reject all, part the images between two scores, reject none.
    cuts = np.concatenate([values[:1], (values[1:] + values[:-1]) / 2, np.nextafter(values[-1:], 2)])
    rejects, misses = _errors(cuts, normal, anomalous)
    # From one cut to the next, misses never fall and false rejects never rise. A cut is beaten by the next where that
    # misses no more, and by the one before where that rejects no more.
    best = np.append(np.diff(misses) > 0, True) & np.append(True, np.diff(rejects) < 0)
    frontier = thinned(cuts[best], _BEST)
    thresholds = np.unique([current, *_ROUND, *frontier])
    rows = []
    counts = (errors.tolist() for errors in _errors(thresholds, normal, anomalous))
    for value, rejected, missed in zip(thresholds.tolist(), *counts, strict=True):
        beaten = (rejects <= rejected) & (misses <= missed) & ((rejects < rejected) | (misses < missed))
        rows.append(
            TradeOff(
                threshold=value,
                false_rejects=intervals.rate(rejected, len(normal)),
                misses=intervals.rate(missed, len(anomalous)),
                best=not bool(beaten.any()),
                current=value == current,
            )
        )
    return rows


def _errors(thresholds: Floats, normal: Floats, anomalous: Floats) -> tuple[Counts, Counts]:
    """False rejects and misses at each threshold, of ascending scores."""
    return len(normal) - np.searchsorted(normal, thresholds), np.searchsorted(anomalous, thresholds)


def _curves(results: Sequence[Judged]) -> Curves:
    normal, anomalous = _scores(results, False), _scores(results, True)
    thresholds = np.linspace(0, 1, _CURVE_POINTS + 1)
    rejects, misses = _errors(thresholds, normal, anomalous)
    errors: list[tuple[float, float | None, float | None]] = [
        (at, rejected / len(normal) if len(normal) else None, missed / len(anomalous) if len(anomalous) else None)
        for at, rejected, missed in zip(thresholds.tolist(), rejects.tolist(), misses.tolist(), strict=True)
    ]
    if not len(normal) or not len(anomalous):
        return Curves([], [], errors)
    truth = np.array([r.entry.anomalous for r in results])
    scores = np.array([r.score for r in results], dtype=np.float64)
    false, true, _ = roc_curve(truth, scores)
    precision, recall, _ = precision_recall_curve(truth, scores, drop_intermediate=True)
    return Curves(points(false, true, _CURVE_POINTS), points(recall[::-1], precision[::-1], _CURVE_POINTS), errors)


def _histogram(results: Sequence[Judged]) -> Histogram:
    counts = [np.histogram(_scores(results, flag), bins=_BINS, range=(0, 1))[0].tolist() for flag in (False, True)]
    return Histogram(*counts)
