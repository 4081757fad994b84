"""The job of a trial: every image that waits, one after the other, by a model loaded in this process.

What became of an image is stored before the next one is read, so a job that was killed goes on where it was.
"""

from __future__ import annotations

import asyncio
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from vigia_registry.db import Database
from vigia_registry.hosting.artifacts import UnusableArtifact, fetch
from vigia_registry.thresholds import repository as thresholds
from vigia_registry.trials import repository
from vigia_registry.trials.content import read_bounded
from vigia_registry.trials.domain import Area, ImageError, Judged, TrialState, Unusable
from vigia_registry.trials.repository import Run
from vigia_registry.trials.service import seal_of
from vigia_runtime.errors import AccessDenied, NotFound
from vigia_runtime.objects import ObjectStore
from vigia_runtime.sealing import SealError, UnknownKey
from vigia_vision import DecodeError, Session, WrongSize, mask_png
from vigia_vision.decode import DEFAULT_LIMITS
from vigia_vision.interpret import BadOutput

_GONE: Final = "The model version was deleted before every image was judged."
_DECODE = {"undecodable": ImageError.UNDECODABLE, "too_large": ImageError.TOO_LARGE}


async def run_trial(database: Database, objects: ObjectStore, bucket: str, trial_id: UUID) -> None:
    """Judge the images of a trial that wait; masks go to ``bucket``. Safe to repeat.

    Ends quietly when the trial goes with its project, and fails it when its version is deleted or cannot be used.
    Transient errors of the store and the database propagate.
    """
    async with database.transaction() as session:
        run = await repository.lock_run(session, trial_id)
        images = await repository.waiting(session, trial_id)
        threshold = None if run is None else await _threshold(session, run)
    if run is None:
        return
    if run.artifact is None:
        await fail(database, trial_id, _GONE)
        return
    try:
        artifact = await fetch(objects, run.artifact)
    except UnusableArtifact as error:
        await fail(database, trial_id, f"The model cannot be used: {error}")
        return
    model = await asyncio.to_thread(Session, artifact)
    for number, key in images:
        result = await _judge(objects, model, threshold, run.trial.source.bucket, key)
        try:
            # The trial is locked meanwhile: whoever deletes it waits, and then deletes the mask too.
            async with database.transaction() as session:
                still = await repository.lock_run(session, trial_id)
                if still is None:
                    return
                if still.artifact is not None:
                    await _record(session, objects, bucket, still, number, result)
        except UnknownKey as error:
            await fail(database, trial_id, f"Masks cannot be sealed: {error.message}")
            return
        if still.artifact is None:
            await fail(database, trial_id, _GONE)
            return
    await _complete(database, trial_id)


async def fail(database: Database, trial_id: UUID, message: str) -> None:
    """Settle a trial whose run came to nothing; what was judged stays."""
    async with database.transaction() as session:
        run = await repository.lock_run(session, trial_id)
        if run is not None:
            await repository.move(session, run.trial, TrialState.FAILED, message)


async def _complete(database: Database, trial_id: UUID) -> None:
    async with database.transaction() as session:
        run = await repository.lock_run(session, trial_id)
        if run is None:
            return
        counts = (await repository.counts(session, [trial_id]))[trial_id]
        message = f"The model judged {counts.judged} of {counts.images} images."
        if counts.failed:
            message += f" {counts.failed} could not be judged; each says why."
        await repository.move(session, run.trial, TrialState.COMPLETE, message)


async def _threshold(session: AsyncSession, run: Run) -> float | None:
    """By what the version decides now; None where that is what its artifact came with."""
    version = run.trial.model_version_id
    newest = None if version is None else (await thresholds.newest(session, [version])).get(version)
    return None if newest is None else newest.limits.value


async def _record(
    session: AsyncSession, objects: ObjectStore, bucket: str, run: Run, number: int, result: Judged | Unusable
) -> None:
    if isinstance(result, Judged) and result.mask is not None:
        await objects.put(bucket, run.trial.mask_key(number), result.mask, "image/png", seal_of(run.trial))
    await repository.record(session, run.trial.id, number, result)


async def _judge(
    objects: ObjectStore, model: Session, threshold: float | None, bucket: str, key: str
) -> Judged | Unusable:
    try:
        data = await read_bounded(objects, bucket, key)
    except NotFound as error:
        return Unusable(ImageError.MISSING, error.message)
    except (AccessDenied, SealError) as error:
        return Unusable(ImageError.DENIED, error.message)
    if data is None:
        return Unusable(ImageError.TOO_LARGE, f"more than {DEFAULT_LIMITS.max_bytes} bytes")
    return await asyncio.to_thread(_inspect, model, data, threshold)


def _inspect(model: Session, data: bytes, threshold: float | None) -> Judged | Unusable:
    try:
        answer = model.inspect(data, threshold)
    except DecodeError as error:
        return Unusable(_DECODE[error.code], str(error))
    except WrongSize as error:
        return Unusable(ImageError.WRONG_SIZE, str(error))
    except BadOutput as error:
        return Unusable(ImageError.MODEL_ERROR, str(error))
    contract = model.manifest.input
    return Judged(
        prediction="anomaly" if answer.is_anomalous else "normal",
        confidence=answer.confidence,
        score=answer.score,
        areas=tuple(Area(label.name, label.area, label.color) for label in answer.labels),
        width=contract.image_width,
        height=contract.image_height,
        mask=mask_png(answer, model.manifest) if answer.labels else None,
    )
