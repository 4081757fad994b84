"""Metrics of a model on its test images, and the two files in which customers get them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_fscore_support, roc_auc_score

from vigia_contracts.training import ClassMetrics, ModelMetrics
from vigia_training.domain.dataset import Entry
from vigia_vision import Answer

_IMAGE_TYPE = "groundtruth/image-classification"


@dataclass(frozen=True, slots=True)
class Overlap:
    """Pixels of one label in one image: in truth and answer, in the answer, in truth."""

    both: int
    answered: int
    true: int


@dataclass(frozen=True, slots=True)
class Judged:
    """A test image and what the exported model says about it. ``overlaps``: per label name, where truth is known."""

    entry: Entry
    score: float
    is_anomalous: bool
    confidence: float
    overlaps: Mapping[str, Overlap]


def judged(entry: Entry, answer: Answer, truth: NDArray[np.uint8] | None, labels: Sequence[str]) -> Judged:
    """``truth``: label indices of the image's pixels, None where no mask says."""
    overlaps = {}
    if truth is not None and answer.mask is not None:
        for index, name in enumerate(labels, 1):
            said, true = answer.mask == index, truth == index
            overlaps[name] = Overlap(int((said & true).sum()), int(said.sum()), int(true.sum()))
    return Judged(entry, answer.score, answer.is_anomalous, answer.confidence, overlaps)


def measure(
    results: Sequence[Judged], labels: Sequence[str], training_images: int, warnings: Sequence[str] = ()
) -> ModelMetrics:
    """Image metrics (positive is anomaly) and pixel metrics of each label found in the test images.

    Where a class is missing from the test images, ROC AUC is 0.5 and undefined ratios are 0.
    """
    truth = np.array([r.entry.anomalous for r in results], dtype=bool)
    said = np.array([r.is_anomalous for r in results], dtype=bool)
    scores = np.array([r.score for r in results], dtype=np.float64)
    precision, recall, f1, _ = precision_recall_fscore_support(truth, said, average="binary", zero_division=0)
    both = truth.any() and not truth.all()
    return ModelMetrics(
        precision=float(precision),
        recall=float(recall),
        f1=float(f1),
        roc_auc=float(roc_auc_score(truth, scores)) if both else 0.5,
        average_precision=float(average_precision_score(truth, scores)) if truth.any() else 0.0,
        classes=[metrics for name in labels if (metrics := _label(results, name)) is not None],
        training_images=training_images,
        test_images=len(results),
        warnings=list(warnings),
    )


def _label(results: Sequence[Judged], name: str) -> ClassMetrics | None:
    found = [r.overlaps[name] for r in results if name in r.overlaps]
    both, answered, true = (sum(getattr(o, part) for o in found) for part in ("both", "answered", "true"))
    if not true:
        return None
    unions = [(o.both, o.answered + o.true - o.both) for o in found]
    ious = [both / union for both, union in unions if union]
    return ClassMetrics(
        name=name,
        precision=both / answered if answered else 0.0,
        recall=both / true,
        f1=2 * both / (answered + true),
        iou=float(np.mean(ious)),
    )


def evaluation_manifest(results: Sequence[Judged], arn: str, project: str, version: str, at: datetime) -> bytes:
    """One JSON line per test image: where it is, what it is, what the model says."""
    return b"".join(json.dumps(_line(result, arn, project, version, _time(at))).encode() + b"\n" for result in results)


def _line(result: Judged, arn: str, project: str, version: str, at: str) -> dict[str, object]:
    given = result.entry.fields.get(f"{result.entry.label_key}-metadata", {})
    return {
        "source-ref": result.entry.uri,
        "source-ref-metadata": {"creation-date": given.get("creation-date", at)},
        "anomaly-label": int(result.entry.anomalous),
        "anomaly-label-metadata": {
            "class-name": result.entry.class_name,
            "type": _IMAGE_TYPE,
            "human-annotated": given.get("human-annotated", "yes"),
            "creation-date": given.get("creation-date", at),
            "job-name": given.get("job-name", ""),
        },
        "anomaly-label-detected": int(result.is_anomalous),
        "anomaly-label-detected-metadata": {
            "class-name": "anomaly" if result.is_anomalous else "normal",
            "confidence": result.confidence,
            "type": _IMAGE_TYPE,
            "human-annotated": "no",
            "creation-date": at,
            "job-name": "training-job/anomaly-detection",
            "model-arn": arn,
            "project-name": project,
            "model-version": version,
        },
    }


def evaluation_result(metrics: ModelMetrics, segmentation: bool, arn: str, at: datetime) -> bytes:
    """The aggregate as one JSON document."""
    measures: dict[str, object] = {
        "ROCAUC": metrics.roc_auc,
        "AveragePrecision": metrics.average_precision,
        "Precision": metrics.precision,
        "Recall": metrics.recall,
        "F1Score": metrics.f1,
    }
    if segmentation:
        measures["PixelAnomalyClassMetrics"] = [
            {"Precision": c.precision, "Recall": c.recall, "F1Score": c.f1, "AIIOU": c.iou, "ClassName": c.name}
            for c in metrics.classes
        ]
    document: dict[str, object] = {
        "Version": 1,
        "EvaluationDetails": {
            "ModelArn": arn,
            "EvaluationEndTimestamp": _time(at),
            "NumberOfTrainingImages": metrics.training_images,
            "NumberOfTestingImages": metrics.test_images,
        },
        "AggregatedEvaluationResults": {"Metrics": measures},
    }
    if metrics.warnings:
        document["Warnings"] = metrics.warnings
    return json.dumps(document, indent=1).encode()


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%f")
