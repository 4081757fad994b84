"""The evaluation report of a version that gives labels, in numbers, as ``report`` has that of one that judges images.

Everything follows from the examined test images; the same ones give the same report. Lists have bounds.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Final, Literal

import numpy as np

from vigia_contracts.training import LabelMetrics
from vigia_training.domain import intervals
from vigia_training.domain.curves import points
from vigia_training.domain.intervals import Estimate, Rate
from vigia_training.domain.label_evaluated import LabelsEvaluated
from vigia_training.domain.label_metrics import Claims, curve
from vigia_training.domain.label_outcomes import Examined, Outcome, claims_of, outcomes
from vigia_training.domain.label_suspicions import label_suspicions
from vigia_training.domain.label_worth import ShownLabels, labels_worth_a_look
from vigia_training.domain.reliability import Reliability, reliability
from vigia_training.domain.suspicions import DataWarning
from vigia_vision.manifest import LabelKind

FORMAT: Final = "vigia-label-report/1"

Measure = Literal["side in model pixels", "share of the image"]

#: Points of the curves of all labels together, and of one label.
_POINTS = 4000
_MOST_POINTS, _LEAST_POINTS = 100, 12
#: Confidences from which callers may ask for answers.
_ASKED = tuple(round(i / 20, 2) for i in range(1, 20))
_CONFIDENCE_BINS = 10
#: Labels and objects that are less sure than this are hardly ever looked at, and there are dozens in every image.
LEAST_SURE: Final = 0.1
_MOST_CELLS = 1000
#: Square roots of areas in the model's pixels that part small, medium and large objects.
_SIDES = (0.0, 32.0, 96.0, float("inf"))
_SHARES = (0.0, 0.001, 0.01, 0.1, 1.0)


@dataclass(frozen=True, slots=True)
class Overall:
    """Means over the labels that the test images have, each weighing the same.

    ``average_precision`` of objects is mAP50. ``accuracy``: exclusive labels: images whose surest label is theirs.
    """

    precision: Estimate
    recall: Estimate
    f1: Estimate
    average_precision: Estimate
    accuracy: Rate | None


@dataclass(frozen=True, slots=True)
class LabelFigures:
    """One label at its threshold. ``right``, ``false`` and ``missed`` count images, or objects; ``absent``: images
    that neither have it nor are given it, None of objects."""

    name: str
    threshold: float
    training_images: int
    test_images: int
    right: int
    false: int
    missed: int
    absent: int | None
    precision: Rate
    recall: Rate
    f1: Estimate
    average_precision: Estimate


@dataclass(frozen=True, slots=True)
class Cell:
    """How often what is ``true`` was taken for what is ``said``; None: nothing there (the background), nothing said."""

    true: str | None
    said: str | None
    count: int


@dataclass(frozen=True, slots=True)
class Asked:
    """All labels together where answers are asked for from ``min_confidence`` on; None: by each label's threshold."""

    min_confidence: float | None
    right: int
    false: int
    missed: int
    precision: Rate
    recall: Rate


@dataclass(frozen=True, slots=True)
class LabelCurves:
    """Of one label: points (recall, precision), and (threshold, precision, recall); no precision where none is said."""

    name: str
    precision_recall: list[tuple[float, float]]
    thresholds: list[tuple[float, float | None, float]]


@dataclass(frozen=True, slots=True)
class SizeFigures:
    """Objects larger than ``above`` and at most ``up_to`` (None: any) by ``measure``: found, as what they are."""

    measure: Measure
    above: float
    up_to: float | None
    found: Rate


@dataclass(frozen=True, slots=True)
class LabelReport:
    """All of it, as the JSON file has it."""

    format: str
    kind: str
    model_arn: str
    project: str
    model_version: str
    evaluated_at: str
    training_images: int
    test_images: int
    interval: float
    warnings: list[DataWarning]
    overall: Overall
    labels: list[LabelFigures]
    confusion: list[Cell]
    trade_off: list[Asked]
    curves: list[LabelCurves]
    sizes: list[SizeFigures]
    reliability: list[Reliability]
    calibration_error: float
    shown: list[ShownLabels]
    provenance: dict[str, str]

    def to_json(self) -> bytes:
        """The file's bytes."""
        return json.dumps(asdict(self), indent=1, allow_nan=False).encode()


def label_report(given: LabelsEvaluated) -> LabelReport:
    """The report of a version that was tested on at least one image that has one of its labels."""
    thresholds, kind, results = given.thresholds, given.kind, given.results
    found = claims_of(results, list(thresholds), kind)
    judged = [outcomes(result, thresholds, kind) for result in results]
    taught = Counter(name for one in given.learn for name in given.taught(one))
    labels = [_label(metrics, found[metrics.name], taught, len(results), kind) for metrics in given.metrics.labels]
    bins, error = _reliability(results, found, kind)
    return LabelReport(
        format=FORMAT,
        kind=kind,
        model_arn=given.arn,
        project=given.project,
        model_version=given.version,
        evaluated_at=given.at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        training_images=given.metrics.training_images,
        test_images=len(results),
        interval=0.95,
        warnings=label_suspicions(given, judged, found),
        overall=_overall(labels, results, kind),
        labels=labels,
        confusion=_confusion(results, judged, thresholds, kind),
        trade_off=_trade_off(found, labels),
        curves=_curves(found),
        sizes=_sizes(given, judged) if kind == "object-detection" else [],
        reliability=bins,
        calibration_error=error,
        shown=[shown for _, shown in labels_worth_a_look(results, judged, thresholds)],
        provenance=dict(given.provenance),
    )


def _label(metrics: LabelMetrics, found: Claims, taught: Counter[str], images: int, kind: LabelKind) -> LabelFigures:
    said = int((found.confidences >= metrics.threshold).sum())
    right = int(found.right[:said].sum())
    false, missed = said - right, found.true - right
    return LabelFigures(
        name=metrics.name,
        threshold=metrics.threshold,
        training_images=taught[metrics.name],
        test_images=metrics.test_images,
        right=right,
        false=false,
        missed=missed,
        absent=None if kind == "object-detection" else images - said - missed,
        precision=intervals.rate(right, said),
        recall=intervals.rate(right, found.true),
        f1=intervals.f1(right, false, missed),
        average_precision=intervals.average_precision(metrics.average_precision, found.true)
        if found.true
        else Estimate(0.0, None, None),
    )


def _overall(labels: Sequence[LabelFigures], results: Sequence[Examined], kind: LabelKind) -> Overall:
    seen = [label for label in labels if label.test_images]
    accuracy = None
    if kind == "classification":
        named = {label.name for label in labels}
        known = [r for r in results if named & set(r.annotation.labels) and r.findings]
        accuracy = intervals.rate(sum(r.findings[0].label in r.annotation.labels for r in known), len(known))
    return Overall(
        precision=intervals.mean([label.precision for label in seen]),
        recall=intervals.mean([label.recall for label in seen]),
        f1=intervals.mean([label.f1 for label in seen]),
        average_precision=intervals.mean([label.average_precision for label in seen]),
        accuracy=accuracy,
    )


def _confusion(
    results: Sequence[Examined], judged: Sequence[Sequence[Outcome]], thresholds: Mapping[str, float], kind: LabelKind
) -> list[Cell]:
    """The most frequent first. Exclusive labels: the surest that is said; labels that are not have no confusion."""
    cells: Counter[tuple[str | None, str | None]] = Counter()
    if kind == "object-detection":
        cells.update((one.true, one.said) for found in judged for one in found)
    elif kind == "classification":
        for result in results:
            said = next((f.label for f in result.findings if f.confidence >= thresholds[f.label]), None)
            cells.update((name, said) for name in result.annotation.labels if name in thresholds)
    most = sorted(cells.items(), key=lambda item: (-item[1], item[0][0] or "", item[0][1] or ""))
    return [Cell(true, said, count) for (true, said), count in most[:_MOST_CELLS]]


def _trade_off(found: Mapping[str, Claims], labels: Sequence[LabelFigures]) -> list[Asked]:
    seen = [one for one in found.values() if one.true]
    right = np.sort(np.concatenate([one.confidences[one.right] for one in seen]))
    false = np.sort(np.concatenate([one.confidences[~one.right] for one in seen]))
    true = sum(one.true for one in seen)

    def asked(least: float | None, hits: int, wrong: int) -> Asked:
        return Asked(
            min_confidence=least,
            right=hits,
            false=wrong,
            missed=true - hits,
            precision=intervals.rate(hits, hits + wrong),
            recall=intervals.rate(hits, true),
        )

    own = [label for label in labels if found[label.name].true]
    rows = [asked(None, sum(label.right for label in own), sum(label.false for label in own))]
    for least in _ASKED:
        hits, wrong = (len(values) - int(np.searchsorted(values, least)) for values in (right, false))
        rows.append(asked(least, hits, wrong))
    return rows


def _curves(found: Mapping[str, Claims]) -> list[LabelCurves]:
    most = max(_LEAST_POINTS, min(_MOST_POINTS, _POINTS // max(len(found), 1)))
    grid = np.linspace(0, 1, most // 2 + 1)
    curves = []
    for name, one in found.items():
        recall, precision = curve(one)
        # Of cuts that find no more, the first has the best precision; the last shows how the curve ends.
        kept = np.append(np.diff(recall, prepend=0.0) > 0, True)[: len(recall)] if one.true else np.zeros(0, bool)
        line = points(recall[kept], precision[kept], most) if kept.any() else []
        hits = np.append(0, np.cumsum(one.right))
        said = len(one.confidences) - np.searchsorted(one.confidences[::-1], grid)
        at: list[tuple[float, float | None, float]] = [
            (cut, int(hits[count]) / count if count else None, int(hits[count]) / one.true if one.true else 0.0)
            for cut, count in zip(grid.tolist(), said.tolist(), strict=True)
        ]
        curves.append(LabelCurves(name, line, at))
    return curves


def _reliability(
    results: Sequence[Examined], found: Mapping[str, Claims], kind: LabelKind
) -> tuple[list[Reliability], float]:
    """Exclusive labels: of the surest label of each image; else of all labels, or objects, that are not too unsure."""
    if kind == "classification":
        first = [(r.findings[0].confidence, r.findings[0].label in r.annotation.labels) for r in results if r.findings]
        confidence = np.array([sure for sure, _ in first], np.float64)
        return reliability(confidence, np.array([hit for _, hit in first], bool), 0.0, _CONFIDENCE_BINS)
    confidence = np.concatenate([one.confidences for one in found.values()])
    kept = confidence >= LEAST_SURE
    right = np.concatenate([one.right for one in found.values()])[kept]
    return reliability(confidence[kept], right, LEAST_SURE, _CONFIDENCE_BINS - 1)


def _sizes(given: LabelsEvaluated, judged: Sequence[Sequence[Outcome]]) -> list[SizeFigures]:
    """True objects by the root of their area in the model's pixels, and by their share of the image."""
    sides: list[tuple[float, bool]] = []
    shares: list[tuple[float, bool]] = []
    for result, outcome in zip(given.results, judged, strict=True):
        across, down = given.scale(result.width, result.height)
        right = {one.place for one in outcome if one.verdict == "right"}
        for place, box in enumerate(result.annotation.boxes or ()):
            if box.label in given.thresholds:
                area, hit = box.width * box.height, place in right
                sides.append((float(np.sqrt(area * across * down)), hit))
                shares.append((area / (result.width * result.height), hit))
    return [*_binned("side in model pixels", _SIDES, sides), *_binned("share of the image", _SHARES, shares)]


def _binned(measure: Measure, edges: Sequence[float], objects: Sequence[tuple[float, bool]]) -> list[SizeFigures]:
    rows = []
    for above, up_to in pairwise(edges):
        hits = [hit for value, hit in objects if above < value <= up_to]
        if hits:
            end = None if np.isinf(up_to) else up_to
            rows.append(SizeFigures(measure, above, end, intervals.rate(sum(hits), len(hits))))
    return rows
