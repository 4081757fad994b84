"""From an answer, or from what prevented one, to the one outcome of a frame."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from vigia_contracts.cameras import Camera
from vigia_contracts.deployments import Deployment, ThresholdRecord
from vigia_contracts.inspections import Inspection, InvalidCause, LabelArea, Verdict
from vigia_detection.domain.frame import Frame, clean
from vigia_vision.interpret import Answer

_DETAIL_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Invalid:
    """Nobody judged the part, and why. Width and height (pixels) where they became known."""

    cause: InvalidCause
    detail: str
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """The model's answer, read against the threshold."""

    answer: Answer
    width: int
    height: int


Outcome = Invalid | Judged


def verdict(answer: Answer, threshold: ThresholdRecord) -> Verdict:
    """PASS, REJECT, or REVIEW where the score lies in the threshold's review band."""
    low, high = threshold.review_low, threshold.review_high
    if low is not None and high is not None and low <= answer.score < high:
        return Verdict.REVIEW
    return Verdict.REJECT if answer.is_anomalous else Verdict.PASS


def late_by(captured_at: datetime, now: datetime, budget_seconds: float) -> float:
    """Seconds by which the camera's budget is exceeded; zero or less while there is time."""
    return (now - captured_at - timedelta(seconds=budget_seconds)).total_seconds()


def settle(outcome: Outcome, frame: Frame, now: datetime, budget_seconds: float | None) -> Outcome:
    """The outcome as it stands at the moment of decision.

    Numbers that cannot be are the model's error, whatever the comparison with the threshold said (no comparison
    with a NaN is true, which reads as a good part). A judgement after the budget is late: the part has moved on.
    """
    if isinstance(outcome, Invalid):
        return outcome
    answer = outcome.answer
    shares = [answer.confidence, *(label.area for label in answer.labels)]
    if not math.isfinite(answer.score) or not all(0 <= share <= 1 for share in shares):
        detail = f"impossible answer: score {answer.score}, confidence and areas {shares}"
        return Invalid(InvalidCause.MODEL_ERROR, detail, outcome.width, outcome.height)
    if budget_seconds is not None and (late := late_by(frame.captured_at, now, budget_seconds)) > 0:
        return Invalid(InvalidCause.LATE, f"judged {late:.3f} s after the budget", outcome.width, outcome.height)
    return outcome


def inspection(
    frame: Frame,
    outcome: Outcome,
    *,
    account_id: str,
    decided_at: datetime,
    camera: Camera | None = None,
    deployment: Deployment | None = None,
    timings: Mapping[str, float] | None = None,
) -> Inspection:
    """The record of a settled outcome. A judgement needs the deployment that made it (ValueError)."""
    facts: dict[str, Any] = {
        "inspection_id": frame.inspection_id,
        "frame_id": clean(frame.frame_id),
        "frame_source": clean(frame.source),
        "origin": frame.origin,
        "account_id": account_id,
        "camera_id": frame.camera_id,
        "part_id": clean(frame.part_id) if frame.part_id is not None else None,
        "width": outcome.width,
        "height": outcome.height,
        "captured_at": frame.captured_at,
        "received_at": frame.received_at,
        "decided_at": decided_at,
        "timings": dict(timings or {}),
    }
    if camera is not None:
        facts |= {
            "line_id": camera.line_id,
            "station": camera.station,
            "product": camera.product,
            "project": camera.project,
        }
    if deployment is not None:
        facts |= {
            "project": deployment.project,
            "model_arn": deployment.model_arn,
            "model_version": deployment.model_version,
        }
    if isinstance(outcome, Invalid):
        detail = clean(outcome.detail, _DETAIL_LIMIT)
        return Inspection(**facts, verdict=Verdict.INVALID, cause=outcome.cause, detail=detail)
    if deployment is None:
        raise ValueError("a judgement without the deployment that made it")
    answer, threshold = outcome.answer, deployment.threshold
    return Inspection(
        **facts,
        verdict=verdict(answer, threshold),
        is_anomalous=answer.is_anomalous,
        confidence=answer.confidence,
        score=answer.score,
        threshold=threshold.value,
        threshold_id=threshold.threshold_id,
        labels=[LabelArea(name=label.name, area=label.area, color=label.color) for label in answer.labels],
    )
