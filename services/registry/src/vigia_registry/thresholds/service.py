"""Threshold records: use cases."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from vigia_registry.hosting import announcements as deployments
from vigia_registry.identity.domain import Owner
from vigia_registry.models import repository as model_rows
from vigia_registry.models import service as models
from vigia_registry.models.domain import ModelState, ModelVersion
from vigia_registry.models.errors import ModelNotFound
from vigia_registry.pagination import Page, Pages
from vigia_registry.thresholds import repository
from vigia_registry.thresholds.domain import MOST_RECORDS, Limits, Prediction, Record, Source, training_record
from vigia_registry.thresholds.errors import NotTrained, ThresholdReplaced, TooManyThresholds
from vigia_registry.thresholds.evaluation import UnknownScores, predict
from vigia_runtime.logging import get_logger
from vigia_runtime.objects import ObjectStore

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Preview:
    """What limits do to the test images of a version, and what those of training do to them.

    ``unpredicted`` says why nobody knows, where that is so.
    """

    limits: Limits
    predicted: Prediction | None
    trained: Prediction | None
    unpredicted: str | None


async def trained(session: AsyncSession, owner: Owner, project: str, version: int) -> ModelVersion:
    """The version, which is trained. ProjectNotFound, ModelNotFound, NotTrained."""
    model = (await models.get(session, owner, project, version)).model
    _require_trained(model, project)
    return model


async def page(session: AsyncSession, pages: Pages, model: ModelVersion, token: str | None, limit: int) -> Page[Record]:
    """The records of a trained version, newest first; of one that nobody has changed ``first`` is the only one."""
    scope = ("thresholds", str(model.id))
    position = pages.read(scope, token)
    before = None if position is None else int(position[0])
    rows = await repository.page(session, model.id, before, limit + 1)
    return pages.cut(scope, rows, limit, lambda row: [str(row.number)])


async def first(objects: ObjectStore, model: ModelVersion) -> Record:
    """What training reported of a trained version, with what it does to the test images, where that is known.

    Reads the object store: no transaction should be open meanwhile.
    """
    found = await _preview(objects, model, _first(model).limits)
    return _first(model, found.trained)


async def preview(objects: ObjectStore, model: ModelVersion, limits: Limits) -> Preview:
    """What ``limits`` would do to the test images of a trained version; changes nothing. BadThreshold.

    Reads the object store: no transaction should be open meanwhile.
    """
    limits.check()
    return await _preview(objects, model, limits)


async def change(
    session: AsyncSession,
    owner: Owner,
    project: str,
    version: int,
    wanted: Preview,
    *,
    replaces: int,
    author: str,
    reason: str,
) -> Record:
    """Add a record, by which what serves decides from now on: it is announced in this transaction.

    ``replaces``: number of the record that the caller has seen as the newest one. ProjectNotFound, ModelNotFound,
    NotTrained, ThresholdReplaced, TooManyThresholds.
    """
    found = (await models.get(session, owner, project, version)).model
    model = await model_rows.lock_by_id(session, found.id)
    if model is None:
        raise ModelNotFound(project, version)
    _require_trained(model, project)
    newest = (await repository.newest(session, [model.id])).get(model.id)
    number = 1 if newest is None else newest.number
    if replaces != number:
        raise ThresholdReplaced(project, version, replaces, number)
    if number >= MOST_RECORDS:
        raise TooManyThresholds(project, version, MOST_RECORDS)
    if newest is None:
        await repository.add(session, model.id, _first(model, wanted.trained))
    record = Record(
        number=number + 1,
        threshold_id=uuid4(),
        limits=wanted.limits,
        source=Source.PERSON,
        author=author,
        reason=reason,
        predicted=wanted.predicted,
        created_at=datetime.now(UTC),
    )
    await repository.add(session, model.id, record)
    await deployments.refresh_project(session, model.project_id)
    return record


async def _preview(objects: ObjectStore, model: ModelVersion, limits: Limits) -> Preview:
    trained = _first(model).limits
    try:
        predicted, before = await predict(objects, model.evaluation_manifest, trained, [limits, trained])
    except UnknownScores as error:
        log.warning("the rates of a threshold cannot be predicted", model=model.arn, reason=str(error))
        return Preview(limits, None, None, str(error))
    return Preview(limits, predicted, before, None)


def _require_trained(model: ModelVersion, project: str) -> None:
    if model.state is not ModelState.TRAINED or model.manifest is None:
        raise NotTrained(project, model.version, model.state)


def _first(model: ModelVersion, predicted: Prediction | None = None) -> Record:
    assert model.manifest is not None
    return training_record(model.arn, model.manifest, model.evaluation_ended_at or model.created_at, predicted)
