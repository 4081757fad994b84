"""Evaluation files: what the closed service, or Vigia, found out about a model version."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from vigia_client.datasets.places import Place, PlaceError, below, last

#: ``EvaluationResult-<project>-<version>.json``; the guide's prose leaves the version away.
_NAME: Final = re.compile(r"Evaluation(?P<what>Result|Manifest)-(?P<project>.+?)(?:-(?P<version>[1-9][0-9]*))?\.json")
_ARN: Final = re.compile(r"arn:[^:]*:lookoutvision:[^:]*:[^:]*:model/(?P<project>[^/]+)/(?P<version>[^/]+)")
_LARGEST: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Figures:
    """Metrics of a model version, 0 to 1. ``labels``: per anomaly label F1 and average IoU."""

    project: str
    version: str
    precision: float | None
    recall: float | None
    f1: float | None
    roc_auc: float | None
    average_precision: float | None
    labels: dict[str, dict[str, float | None]]
    training_images: int | None
    test_images: int | None
    ended_at: str | None
    file: str


def is_evaluation(address: str) -> bool:
    """Whether the file's name is one of evaluation's."""
    return _NAME.fullmatch(last(address)) is not None


def read_figures(place: Place, address: str) -> Figures | str | None:
    """The figures of a result file, or why it cannot be read; None for an evaluation's manifest, which has none."""
    match = _NAME.fullmatch(last(address))
    if match is None or match["what"] != "Result":
        return None
    try:
        document = json.loads(place.read(address, _LARGEST))
        return figures(document, match["project"], match["version"] or "?", below(place.root, address))
    except PlaceError as error:
        return str(error)
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return "not an evaluation result"


def figures(document: Any, project: str, version: str, file: str) -> Figures:
    """The figures of a result document; KeyError, TypeError or AttributeError when it is none.

    The model's ARN in it says better than a file's name of which project and version it is.
    """
    metrics = document["AggregatedEvaluationResults"]["Metrics"]
    details = document.get("EvaluationDetails") or {}
    arn = _ARN.fullmatch(str(details.get("ModelArn", "")))
    return Figures(
        project=arn["project"] if arn else project,
        version=arn["version"] if arn else version,
        precision=_number(metrics.get("Precision")),
        recall=_number(metrics.get("Recall")),
        f1=_number(metrics.get("F1Score")),
        roc_auc=_number(metrics.get("ROCAUC")),
        average_precision=_number(metrics.get("AveragePrecision")),
        labels={
            str(label["ClassName"]): {"f1": _number(label.get("F1Score")), "iou": _number(label.get("AIIOU"))}
            for label in metrics.get("PixelAnomalyClassMetrics") or []
        },
        training_images=_whole(details.get("NumberOfTrainingImages")),
        test_images=_whole(details.get("NumberOfTestingImages")),
        ended_at=str(details["EvaluationEndTimestamp"]) if "EvaluationEndTimestamp" in details else None,
        file=file,
    )


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
