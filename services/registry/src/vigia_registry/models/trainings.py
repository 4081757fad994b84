"""What becomes of a training: events from training, applied once, in order, to the version they name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from vigia_contracts.base import Payload
from vigia_contracts.training import TrainingCompleted, TrainingFailed, TrainingProgress, TrainingStarted
from vigia_registry.db import Database
from vigia_registry.identity.domain import Service
from vigia_registry.models import repository
from vigia_registry.models.domain import ModelState, ModelVersion
from vigia_registry.models.given import SERVICE_ISSUE
from vigia_registry.settings import QuotaSettings
from vigia_runtime.logging import get_logger

log = get_logger(__name__)

_COMPLETED = "Training completed successfully."
#: What is wrong is the customer's; everything else is ours.
BAD_DATA = "bad_data"
_OVERDUE = "Training took longer than allowed and was given up."

TrainingEvent = TrainingStarted | TrainingProgress | TrainingCompleted | TrainingFailed


async def apply(database: Database, event: Payload) -> None:
    """Store what ``event`` says about its version.

    An event about a version that is gone, or that is trained or failed already, changes nothing: it came twice, or too
    late to matter.
    """
    if not isinstance(event, TrainingEvent):
        raise TypeError(f"no training event: {type(event).__name__}")
    async with database.transaction() as session:
        model = await repository.lock_by_arn(session, event.model_arn)
        if model is None or model.state is not ModelState.TRAINING or _outdated(model, event):
            log.info("training event has no effect", model=event.model_arn, event_type=type(event).__name__)
            return
        values = {"attempt": event.attempt, **_values(event, model.service)}
        match event:
            case TrainingCompleted():
                await repository.move(session, model, ModelState.TRAINED, values)
            case TrainingFailed():
                await repository.move(session, model, ModelState.TRAINING_FAILED, values)
            case _:
                await repository.change(session, model.id, values)


async def fail_overdue(database: Database, quotas: QuotaSettings) -> int:
    """Fail the trainings that began too long ago; how many there were."""
    longest = timedelta(hours=quotas.training_hours + quotas.testing_hours)
    async with database.transaction() as session:
        models = await repository.overdue(session, datetime.now(UTC) - longest)
        for model in models:
            await repository.move(session, model, ModelState.TRAINING_FAILED, {"status_message": _OVERDUE})
    return len(models)


def _outdated(model: ModelVersion, event: TrainingEvent) -> bool:
    return model.attempt is not None and event.attempt < model.attempt


def _values(event: TrainingEvent, service: Service) -> dict[str, Any]:
    match event:
        case TrainingStarted():
            return {"stage": "reading", "progress": 0.0, "training_end": None}
        case TrainingProgress():
            left = event.remaining_seconds
            end = None if left is None else event.at + timedelta(seconds=left)
            return {"stage": event.stage, "progress": event.fraction, "training_end": end}
        case TrainingFailed() if service is Service.CUSTOM_LABELS and event.code != BAD_DATA:
            # Clients know this text, and that there is nothing to look up.
            log.warning("training failed", model=event.model_arn, code=event.code, reason=event.message)
            return {"status_message": SERVICE_ISSUE}
        case TrainingFailed():
            return {"status_message": event.message or f"Training failed ({event.code}).", "checks": event.checks}
        case TrainingCompleted():
            return {
                "status_message": _COMPLETED,
                "progress": 1.0,
                "artifact": event.artifact,
                "manifest": event.manifest,
                "metrics": event.metrics,
                "evaluation_manifest": event.evaluation_manifest,
                "evaluation_result": event.evaluation_result,
                "evaluation_ended_at": event.completed_at,
                "training_snapshot": event.training_snapshot,
                "checks": event.checks,
                "training_seconds": event.seconds,
            }
