"""Metrics of a model that gives labels on its test images, and the two files in which customers get them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from vigia_contracts.training import LabelMetrics, ModelMetrics
from vigia_training.domain.annotations import BOXES, IMAGE_LABEL, Annotation
from vigia_training.domain.label_metrics import average_precision, best
from vigia_training.domain.label_outcomes import Examined, by_label, claims_of, matches
from vigia_vision import Finding
from vigia_vision.manifest import LabelKind

_VERSION = 1
_TRAINING_JOB = "rekognition-custom-labels-training-job"
_EVALUATION_JOB = "rekognition-custom-labels-evaluation-job"
_TRUTH = "rekognition-custom-labels-training-0"
_SAID = "rekognition-custom-labels-evaluation"
_DETAILS = "rekognition-custom-labels-evaluation-details"


def measure_labels(
    results: Sequence[Examined],
    labels: Sequence[str],
    kind: LabelKind,
    training_images: int,
    warnings: Sequence[str] = (),
) -> ModelMetrics:
    """Per label at the threshold with the best F1 over these images, and the means over labels that occur in them."""
    measured = []
    areas = []
    images = Counter(name for r in results for name in r.annotation.names(kind))
    for name, found in claims_of(results, labels, kind).items():
        at = best(found)
        if kind != "object-detection" and 0 < found.true < len(found.right):
            areas.append(float(roc_auc_score(found.right, found.confidences)))
        measured.append(
            LabelMetrics(
                name=name,
                threshold=at.threshold,
                precision=at.precision,
                recall=at.recall,
                f1=at.f1,
                average_precision=average_precision(found),
                test_images=images[name],
            )
        )
    seen = [label for label in measured if label.test_images]

    def mean(values: Sequence[float]) -> float:
        return float(np.mean(values)) if values else 0.0

    return ModelMetrics(
        precision=mean([label.precision for label in seen]),
        recall=mean([label.recall for label in seen]),
        f1=mean([label.f1 for label in seen]),
        roc_auc=mean(areas),
        average_precision=mean([label.average_precision for label in seen]),
        labels=measured,
        training_images=training_images,
        test_images=len(results),
        warnings=list(warnings),
    )


def snapshot(
    results: Sequence[Examined], labels: Sequence[str], kind: LabelKind, thresholds: Mapping[str, float], at: datetime
) -> bytes:
    """One JSON line per test image: what it is, what the model says, and which of that is right."""
    line = _boxes_line if kind == "object-detection" else _labels_line
    return b"".join(json.dumps(line(r, labels, thresholds, _time(at))).encode() + b"\n" for r in results)


def training_snapshot(
    learnt: Sequence[Annotation],
    labels: Sequence[str],
    kind: LabelKind,
    sizes: Mapping[str, tuple[int, int]],
    at: datetime,
) -> bytes:
    """One JSON line per image that was learnt from: what it is. Of an image of a logo alone that is its label."""
    lines = []
    for one in learnt:
        boxed = kind == "object-detection" and one.boxes is not None
        truth = _true_boxes(one, labels, *sizes[one.uri], _time(at)) if boxed else _true_labels(one, _time(at))
        lines.append(json.dumps({"source-ref": one.uri, **truth}).encode() + b"\n")
    return b"".join(lines)


def _true_labels(annotation: Annotation, at: str) -> dict[str, object]:
    truth: dict[str, object] = {}
    for number, name in enumerate(annotation.labels):
        truth[f"rekognition-custom-labels-training-{number}"] = 1
        truth[f"rekognition-custom-labels-training-{number}-metadata"] = {
            "confidence": 1.0,
            "job-name": _TRAINING_JOB,
            "class-name": name,
            "human-annotated": "yes",
            "creation-date": at,
            "type": IMAGE_LABEL,
        }
    return truth


def _true_boxes(annotation: Annotation, labels: Sequence[str], width: int, height: int, at: str) -> dict[str, object]:
    names = {name: number for number, name in enumerate(labels)}
    true = [b for b in annotation.boxes or () if b.label in names]
    return {
        _TRUTH: {
            "annotations": [_box(names[b.label], [b.left, b.top, b.width, b.height]) for b in true],
            "image_size": [{"width": width, "depth": 3, "height": height}],
        },
        f"{_TRUTH}-metadata": {
            "job-name": _TRAINING_JOB,
            "class-map": {str(number): name for name, number in names.items()},
            "human-annotated": "yes",
            "objects": [{"confidence": 1.0} for _ in true],
            "creation-date": at,
            "type": BOXES,
        },
    }


def _labels_line(
    result: Examined, labels: Sequence[str], thresholds: Mapping[str, float], at: str
) -> dict[str, object]:
    line: dict[str, object] = {"source-ref": result.annotation.uri, **_true_labels(result.annotation, at)}
    said = {item.label: item.confidence for item in result.findings}
    shown = [name for name in labels if said.get(name, 0.0) >= thresholds[name] or name in result.annotation.labels]
    for number, name in enumerate(shown):
        confidence = said.get(name, 0.0)
        line[f"{_SAID}-{number}"] = 1
        line[f"{_SAID}-{number}-metadata"] = {
            "confidence": confidence,
            "job-name": _EVALUATION_JOB,
            "class-name": name,
            "human-annotated": "no",
            "creation-date": at,
            "type": IMAGE_LABEL,
            _DETAILS: _details(confidence >= thresholds[name], name in result.annotation.labels),
        }
    return line


def _boxes_line(result: Examined, labels: Sequence[str], thresholds: Mapping[str, float], at: str) -> dict[str, object]:
    names = {name: number for number, name in enumerate(labels)}
    said: list[tuple[Finding, bool]] = []
    for name, found in by_label(result.findings).items():
        # Unsure boxes that are nothing are no part of the picture; there are dozens in every image.
        said += [
            (item, index is not None)
            for item, index in zip(found, matches(result, name, found), strict=True)
            if index is not None or item.confidence >= thresholds[name]
        ]
    said.sort(key=lambda pair: -pair[0].confidence)
    return {
        "source-ref": result.annotation.uri,
        **_true_boxes(result.annotation, labels, result.width, result.height, at),
        _SAID: {
            "annotations": [_box(names[item.label], result.sides(item)) for item, _ in said],
            "image_size": [{"width": result.width, "depth": 3, "height": result.height}],
        },
        f"{_SAID}-metadata": {
            "confidence": max((item.confidence for item, _ in said), default=0.0),
            "job-name": _EVALUATION_JOB,
            "class-map": {str(number): name for name, number in names.items()},
            "human-annotated": "no",
            "objects": [
                {
                    "confidence": item.confidence,
                    _DETAILS: _details(item.confidence >= thresholds[item.label], is_there),
                }
                for item, is_there in said
            ],
            "creation-date": at,
            "type": BOXES,
        },
    }


def _box(number: int, sides: Sequence[float]) -> dict[str, int | float]:
    rounded = [round(side, 2) for side in sides]
    return {"class_id": number, **dict(zip(("left", "top", "width", "height"), rounded, strict=True))}


def _details(said: bool, true: bool) -> dict[str, object]:
    return {
        "version": _VERSION,
        "ground-truth-labelling-jobs": [_TRAINING_JOB],
        "is-true-positive": said and true,
        "is-true-negative": not said and not true,
        "is-false-positive": said and not true,
        "is-false-negative": not said and true,
        "is-present-in-ground-truth": true,
    }


def summary(results: Sequence[Examined], metrics: ModelMetrics, kind: LabelKind, arn: str, at: datetime) -> bytes:
    """The aggregate as one JSON document; labels by falling F1."""
    aggregated: dict[str, Any] = {"Precision": metrics.precision, "Recall": metrics.recall, "F1Score": metrics.f1}
    names = [label.name for label in metrics.labels]
    if kind == "object-detection":
        aggregated["AveragePrecision"] = metrics.average_precision
        aggregated["AverageRecall"] = _average_recall(results, names)
    else:
        aggregated["ConfusionMatrix"] = _confusion(results, {one.name: one.threshold for one in metrics.labels})
    document: dict[str, Any] = {
        "Version": _VERSION,
        "EvaluationDetails": {
            "ProjectVersionArn": arn,
            "EvaluationEndTimestamp": _time(at),
            "Labels": names,
            "NumberOfTrainingImages": metrics.training_images,
            "NumberOfTestingImages": metrics.test_images,
        },
        "AggregatedEvaluationResults": aggregated,
        "LabelEvaluationResults": [
            {
                "Label": label.name,
                "NumberOfTestingImages": label.test_images,
                "Metrics": {
                    "Threshold": label.threshold,
                    "Precision": label.precision,
                    "Recall": label.recall,
                    "F1Score": label.f1,
                },
            }
            for label in sorted(metrics.labels, key=lambda label: -label.f1)
        ],
    }
    if metrics.warnings:
        document["Warnings"] = metrics.warnings
    return json.dumps(document, indent=1).encode()


def _average_recall(results: Sequence[Examined], names: Sequence[str]) -> float:
    """Mean over labels of the share of true boxes that some box of theirs is, however unsure."""
    found = claims_of(results, names, "object-detection").values()
    recalls = [float(one.right.sum()) / one.true for one in found if one.true]
    return float(np.mean(recalls)) if recalls else 0.0


def _confusion(results: Sequence[Examined], thresholds: Mapping[str, float]) -> list[dict[str, object]]:
    """Of the images that have a label, the share that is given each label; zero shares are left out."""
    images: Counter[str] = Counter()
    given: Counter[tuple[str, str]] = Counter()
    for result in results:
        said = [item.label for item in result.findings if item.confidence >= thresholds[item.label]]
        images.update(result.annotation.labels)
        given.update((true, name) for true in result.annotation.labels for name in said)
    return [
        {"GroundTruthLabel": true, "PredictedLabel": name, "Value": given[true, name] / images[true]}
        for true in thresholds
        for name in thresholds
        if given[true, name]
    ]


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%f")
