"""Evaluation files: what either service, or Vigia, found out about a model version."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from vigia_client.datasets.places import Place, PlaceError, below, last

_LARGEST: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Figures:
    """Metrics of a model version, 0 to 1. ``labels``: of each label F1, and average IoU or assumed threshold."""

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


@dataclass(frozen=True, slots=True)
class Evaluations:
    """How a service's evaluation files are named, and how a document is read.

    ``name`` has the groups ``project`` and ``version``, and ``result`` where the file has figures. ``arn`` is that of a
    model, which says better than a file's name of which project and version it is. ``read`` raises KeyError, TypeError
    or AttributeError when a document is none.
    """

    name: re.Pattern[str]
    arn: re.Pattern[str]
    read: Callable[[Any], Figures]

    def are(self, address: str) -> bool:
        """Whether the file's name is one of evaluation's."""
        return self.name.fullmatch(last(address)) is not None

    def figures(self, place: Place, address: str) -> Figures | str | None:
        """The figures of a result file, or why it cannot be read; None for files of evaluation that have none."""
        match = self.name.fullmatch(last(address))
        if match is None or not match["result"]:
            return None
        try:
            document = json.loads(place.read(address, _LARGEST))
            file = below(place.root, address)
            return self.of(document, match["project"], match["version"] or "?", file)
        except PlaceError as error:
            return str(error)
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
            return "not an evaluation result"

    def of(self, document: Any, project: str, version: str, file: str) -> Figures:
        """The figures of a result document; KeyError, TypeError or AttributeError when it is none."""
        found = self.read(document)
        arn = self.arn.fullmatch(found.project)
        given = (project, version) if arn is None else (arn["project"], arn["version"])
        return replace(found, project=given[0], version=given[1], file=file)


def _lookoutvision(document: Any) -> Figures:
    metrics = document["AggregatedEvaluationResults"]["Metrics"]
    details = document.get("EvaluationDetails") or {}
    return Figures(
        project=str(details.get("ModelArn", "")),
        version="",
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
        file="",
    )


def _customlabels(document: Any) -> Figures:
    together = document["AggregatedEvaluationResults"]
    details = document.get("EvaluationDetails") or {}
    return Figures(
        project=str(details.get("ProjectVersionArn", "")),
        version="",
        precision=_number(together.get("Precision")),
        recall=_number(together.get("Recall")),
        f1=_number(together["F1Score"]),
        roc_auc=None,
        average_precision=_number(together.get("AveragePrecision")),
        labels={
            str(label["Label"]): {
                "f1": _number((label.get("Metrics") or {}).get("F1Score")),
                "threshold": _number((label.get("Metrics") or {}).get("Threshold")),
            }
            for label in document.get("LabelEvaluationResults") or []
        },
        training_images=_whole(details.get("NumberOfTrainingImages")),
        test_images=_whole(details.get("NumberOfTestingImages")),
        ended_at=str(details["EvaluationEndTimestamp"]) if "EvaluationEndTimestamp" in details else None,
        file="",
    )


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


#: ``EvaluationResult-<project>-<version>.json``; the guide's prose leaves the version away.
LOOKOUTVISION: Final = Evaluations(
    re.compile(r"Evaluation(?:(?P<result>Result)|Manifest)-(?P<project>.+?)(?:-(?P<version>[1-9][0-9]*))?\.json"),
    re.compile(r"arn:[^:]*:lookoutvision:[^:]*:[^:]*:model/(?P<project>[^/]+)/(?P<version>[^/]+)"),
    _lookoutvision,
)
#: ``EvaluationResultSummary-<project>-<version>.json``; the guide has ``EvaluationSummary-…`` as well.
CUSTOM_LABELS: Final = Evaluations(
    re.compile(r"(?P<result>Evaluation(?:Result)?Summary)-(?P<project>.+?)(?:-(?P<version>[^-]+))?\.json"),
    re.compile(r"arn:[^:]*:rekognition:[^:]*:[^:]*:project/(?P<project>[^/]+)/version/(?P<version>[^/]+)/[0-9]+"),
    _customlabels,
)
