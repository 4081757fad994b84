"""Trial detections and their images in the database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, bindparam, delete, exists, func, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from vigia_contracts.base import ObjectRef
from vigia_registry.datasets.domain import DatasetKind
from vigia_registry.datasets.tables import dataset_entries, datasets
from vigia_registry.identity.domain import Owner
from vigia_registry.models.domain import ModelState
from vigia_registry.models.tables import model_versions
from vigia_registry.projects.domain import ProjectState
from vigia_registry.projects.tables import projects
from vigia_registry.states import step
from vigia_registry.trials.domain import (
    TRANSITIONS,
    Area,
    ImageError,
    ImageFilter,
    ImageState,
    Judged,
    Label,
    Order,
    Source,
    SourceKind,
    Trial,
    TrialCounts,
    TrialImage,
    TrialState,
    Unusable,
    Verification,
)
from vigia_registry.trials.tables import trial_images, trials

_TRIAL = (
    trials.c.id,
    trials.c.project_id,
    projects.c.name.label("project"),
    projects.c.account_id,
    trials.c.model_version_id,
    trials.c.model_version,
    trials.c.name,
    trials.c.source,
    trials.c.bucket,
    trials.c.prefix,
    trials.c.kms_key_id,
    trials.c.labels,
    trials.c.state,
    trials.c.status_message,
    trials.c.created_at,
    trials.c.started_at,
    trials.c.ended_at,
)
#: The dataset has the image: it was given to it, and is there. Needs ``trials`` in the query.
_ADDED = exists(
    select(dataset_entries.c.id)
    .join(datasets, datasets.c.id == dataset_entries.c.dataset_id)
    .where(
        datasets.c.project_id == trials.c.project_id,
        datasets.c.kind == DatasetKind.TRAIN.value,
        dataset_entries.c.source_ref == trial_images.c.dataset_ref,
    )
    .correlate(trials, trial_images)
)
_IMAGE = (
    *(
        trial_images.c[name]
        for name in (
            "number",
            "name",
            "key",
            "state",
            "error",
            "detail",
            "width",
            "height",
            "prediction",
            "confidence",
            "score",
            "areas",
            "verification",
            "corrected_class",
            "corrected_labels",
            "verified_at",
        )
    ),
    _ADDED.label("added"),
)
_VERIFIED = (Verification.CORRECT.value, Verification.INCORRECT.value)
#: What images are sorted by, ascending.
_SORT: dict[Order, ColumnElement[Any]] = {
    Order.NUMBER: trial_images.c.number,
    Order.CONFIDENCE: func.coalesce(trial_images.c.confidence, 2),
    Order.CONFIDENCE_DESCENDING: -func.coalesce(trial_images.c.confidence, -1),
}


@dataclass(frozen=True, slots=True)
class Run:
    """A trial under way. ``artifact``: of its model version; None when that is there no more."""

    trial: Trial
    artifact: ObjectRef | None


def _trial(row: Mapping[Any, Any]) -> Trial:
    values = dict(row)
    source = Source(SourceKind(values.pop("source")), values.pop("bucket"), values.pop("prefix"))
    return Trial(
        **{
            **values,
            "source": source,
            "labels": tuple(Label(**label) for label in row["labels"]),
            "state": TrialState(row["state"]),
        }
    )


def _stored(labels: Sequence[Label]) -> list[dict[str, str]]:
    return [{"name": label.name, "color": label.color} for label in labels]


def _image(row: Mapping[Any, Any]) -> TrialImage:
    labels = row["corrected_labels"]
    return TrialImage(
        **{
            **row,
            "state": ImageState(row["state"]),
            "error": None if row["error"] is None else ImageError(row["error"]),
            "areas": tuple(Area(**area) for area in row["areas"]),
            "verification": Verification(row["verification"]),
            "corrected_labels": None if labels is None else tuple(labels),
        }
    )


def _of_owner(owner: Owner, trial_id: UUID) -> Select[Any]:
    return (
        select(*_TRIAL)
        .join(projects, projects.c.id == trials.c.project_id)
        .where(trials.c.id == trial_id, projects.c.account_id == owner.account_id, projects.c.region == owner.region)
    )


def _images(trial_id: UUID) -> Select[Any]:
    return (
        select(*_IMAGE).join(trials, trials.c.id == trial_images.c.trial_id).where(trial_images.c.trial_id == trial_id)
    )


async def add(session: AsyncSession, trial: Trial) -> bool:
    """Store a new trial; False when the project has one of that name."""
    values = {
        "id": trial.id,
        "project_id": trial.project_id,
        "model_version_id": trial.model_version_id,
        "model_version": trial.model_version,
        "name": trial.name,
        "source": trial.source.kind.value,
        "bucket": trial.source.bucket,
        "prefix": trial.source.prefix,
        "kms_key_id": trial.kms_key_id,
        "labels": _stored(trial.labels),
        "state": trial.state.value,
        "status_message": trial.status_message,
        "created_at": trial.created_at,
        "started_at": trial.started_at,
    }
    added = await session.execute(insert(trials).values(values).on_conflict_do_nothing().returning(trials.c.id))
    return added.one_or_none() is not None


async def add_images(session: AsyncSession, trial_id: UUID, keys: Iterable[str]) -> None:
    """Store images that wait, named by their keys and numbered from 1."""
    values = [
        {"trial_id": trial_id, "number": number, "name": key, "key": key} for number, key in enumerate(keys, start=1)
    ]
    await session.execute(insert(trial_images), values)


async def put_image(session: AsyncSession, trial_id: UUID, number: int, name: str, key: str) -> None:
    """Store one image that waits, or the new key of one that is there."""
    statement = insert(trial_images).values(trial_id=trial_id, number=number, name=name, key=key)
    await session.execute(
        statement.on_conflict_do_update(index_elements=["trial_id", "number"], set_={"key": statement.excluded.key})
    )


async def number_of(session: AsyncSession, trial_id: UUID, name: str) -> int | None:
    """The number of the trial's image of that name, or None."""
    query = select(trial_images.c.number).where(trial_images.c.trial_id == trial_id, trial_images.c.name == name)
    return (await session.execute(query)).scalar_one_or_none()


async def image_count(session: AsyncSession, trial_id: UUID) -> int:
    """How many images the trial has."""
    query = select(func.count()).select_from(trial_images).where(trial_images.c.trial_id == trial_id)
    return (await session.execute(query)).scalar_one()


async def count(session: AsyncSession, project_id: UUID) -> int:
    """How many trials the project has."""
    query = select(func.count()).select_from(trials).where(trials.c.project_id == project_id)
    return (await session.execute(query)).scalar_one()


async def find(session: AsyncSession, owner: Owner, trial_id: UUID) -> Trial | None:
    """The owner's trial of that id, or None."""
    row = (await session.execute(_of_owner(owner, trial_id))).one_or_none()
    return None if row is None else _trial(row._mapping)


async def lock(session: AsyncSession, owner: Owner, trial_id: UUID) -> Trial | None:
    """As ``find``; nobody else changes the trial, its images or its objects until the transaction ends."""
    query = _of_owner(owner, trial_id).with_for_update(of=trials, key_share=True)
    row = (await session.execute(query)).one_or_none()
    return None if row is None else _trial(row._mapping)


async def lock_run(session: AsyncSession, trial_id: UUID) -> Run | None:
    """A trial under way, locked as by ``lock``; None when it is not, or goes with its project."""
    usable = model_versions.c.state == ModelState.TRAINED.value
    query = (
        select(*_TRIAL, model_versions.c.artifact)
        .join(projects, projects.c.id == trials.c.project_id)
        .outerjoin(model_versions, and_(model_versions.c.id == trials.c.model_version_id, usable))
        .where(
            trials.c.id == trial_id,
            trials.c.state == TrialState.IN_PROGRESS.value,
            projects.c.state == ProjectState.ACTIVE.value,
        )
        .with_for_update(of=trials, key_share=True)
    )
    row = (await session.execute(query)).one_or_none()
    if row is None:
        return None
    values = dict(row._mapping)
    artifact = values.pop("artifact")
    return Run(_trial(values), None if artifact is None else ObjectRef.model_validate(artifact))


async def page(
    session: AsyncSession, project_id: UUID, before: tuple[datetime, UUID] | None, limit: int
) -> list[Trial]:
    """Up to ``limit`` trials of the project, newest first, older than the position ``before``."""
    query = (
        select(*_TRIAL).join(projects, projects.c.id == trials.c.project_id).where(trials.c.project_id == project_id)
    )
    if before is not None:
        query = query.where(tuple_(trials.c.created_at, trials.c.id) < before)
    rows = await session.execute(query.order_by(trials.c.created_at.desc(), trials.c.id.desc()).limit(limit))
    return [_trial(row._mapping) for row in rows]


async def counts(session: AsyncSession, trial_ids: Sequence[UUID]) -> dict[UUID, TrialCounts]:
    """What became of the images of some trials; a trial without images is missing."""
    state, verification = trial_images.c.state, trial_images.c.verification
    judged = state == ImageState.JUDGED.value
    conditions = {
        "waiting": state == ImageState.WAITING.value,
        "judged": judged,
        "failed": state == ImageState.FAILED.value,
        "normal": trial_images.c.prediction == "normal",
        "anomaly": trial_images.c.prediction == "anomaly",
        "unverified": and_(judged, verification == Verification.UNVERIFIED.value),
        "correct": verification == Verification.CORRECT.value,
        "incorrect": verification == Verification.INCORRECT.value,
        "added": _ADDED,
    }
    rows = await session.execute(
        select(
            trial_images.c.trial_id,
            func.count().label("images"),
            *(func.count().filter(condition).label(name) for name, condition in conditions.items()),
        )
        .join(trials, trials.c.id == trial_images.c.trial_id)
        .where(trial_images.c.trial_id.in_(trial_ids))
        .group_by(trial_images.c.trial_id)
    )
    found = {}
    for row in rows:
        values = dict(row._mapping)
        trial_id = values.pop("trial_id")
        found[trial_id] = TrialCounts(**values)
    return found


async def images_page(
    session: AsyncSession,
    trial_id: UUID,
    chosen: ImageFilter,
    order: Order,
    after: tuple[float, int] | None,
    limit: int,
) -> list[tuple[float, TrialImage]]:
    """Up to ``limit`` images that ``chosen`` lets through, behind the position ``after``, each with its sort key."""
    key = _SORT[order]
    query = _images(trial_id).add_columns(key.label("sort"))
    for column, value in (
        (trial_images.c.state, chosen.state),
        (trial_images.c.prediction, chosen.prediction),
        (trial_images.c.verification, chosen.verification),
    ):
        if value is not None:
            query = query.where(column == value)
    if chosen.label is not None:
        query = query.where(
            or_(
                trial_images.c.labels.contains([chosen.label]), trial_images.c.corrected_labels.contains([chosen.label])
            )
        )
    if after is not None:
        query = query.where(tuple_(key, trial_images.c.number) > after)
    rows = await session.execute(query.order_by(key, trial_images.c.number).limit(limit))
    found = []
    for row in rows:
        values = dict(row._mapping)
        found.append((float(values.pop("sort")), _image(values)))
    return found


async def images(session: AsyncSession, trial_id: UUID, numbers: Sequence[int]) -> list[TrialImage]:
    """The images of those numbers that there are, by number."""
    rows = await session.execute(
        _images(trial_id).where(trial_images.c.number.in_(numbers)).order_by(trial_images.c.number)
    )
    return [_image(row._mapping) for row in rows]


async def to_add(session: AsyncSession, trial_id: UUID) -> list[TrialImage]:
    """Images that are verified and not in the dataset, by number."""
    rows = await session.execute(
        _images(trial_id).where(trial_images.c.verification.in_(_VERIFIED), ~_ADDED).order_by(trial_images.c.number)
    )
    return [_image(row._mapping) for row in rows]


async def waiting(session: AsyncSession, trial_id: UUID) -> list[tuple[int, str]]:
    """Number and key of the images that wait to be judged, in order."""
    rows = await session.execute(
        select(trial_images.c.number, trial_images.c.key)
        .where(trial_images.c.trial_id == trial_id, trial_images.c.state == ImageState.WAITING.value)
        .order_by(trial_images.c.number)
    )
    return [(row.number, row.key) for row in rows]


async def record(session: AsyncSession, trial_id: UUID, number: int, result: Judged | Unusable) -> None:
    """Store what became of an image."""
    match result:
        case Unusable():
            values: dict[str, Any] = {
                "state": ImageState.FAILED.value,
                "error": result.error.value,
                "detail": result.detail,
            }
        case Judged():
            values = {
                "state": ImageState.JUDGED.value,
                "width": result.width,
                "height": result.height,
                "prediction": result.prediction,
                "confidence": result.confidence,
                "score": result.score,
                "areas": [{"name": area.name, "area": area.area, "color": area.color} for area in result.areas],
                "labels": [area.name for area in result.areas],
            }
    await _change(session, trial_id, [number], {**values, "judged_at": func.now()})


async def verify(
    session: AsyncSession,
    trial_id: UUID,
    numbers: Sequence[int],
    verification: Verification,
    corrected_class: str | None,
    corrected_labels: Sequence[str] | None,
) -> None:
    """Store what a person says of images; what the dataset was given of them before is out of date."""
    values = {
        "verification": verification.value,
        "corrected_class": corrected_class,
        "corrected_labels": None if corrected_labels is None else list(corrected_labels),
        "verified_at": func.now(),
        "dataset_ref": None,
    }
    await _change(session, trial_id, numbers, values)


async def given(session: AsyncSession, trial_id: UUID, refs: Mapping[int, str]) -> None:
    """Remember under which source-ref images were given to the dataset."""
    statement = (
        update(trial_images)
        .where(trial_images.c.trial_id == trial_id, trial_images.c.number == bindparam("of_number"))
        .values(dataset_ref=bindparam("ref"))
    )
    await session.execute(statement, [{"of_number": number, "ref": ref} for number, ref in refs.items()])


async def set_labels(session: AsyncSession, trial_id: UUID, labels: Sequence[Label]) -> None:
    """Store which labels masks may have."""
    await session.execute(update(trials).where(trials.c.id == trial_id).values(labels=_stored(labels)))


async def move(session: AsyncSession, trial: Trial, target: TrialState, message: str) -> None:
    """Store a new state with its message; ForbiddenTransitionError."""
    state = step(TRANSITIONS, trial.state, target)
    began = state is TrialState.IN_PROGRESS
    values = {
        "state": state.value,
        "status_message": message,
        "started_at": func.now() if began else trials.c.started_at,
        "ended_at": None if began else func.now(),
    }
    await session.execute(update(trials).where(trials.c.id == trial.id).values(values))


async def remove_of_project(session: AsyncSession, project_id: UUID) -> None:
    """Forget the project's trials, once nobody is changing one. Their objects lie below the project's prefix."""
    await session.execute(delete(trials).where(trials.c.project_id == project_id))


async def _change(session: AsyncSession, trial_id: UUID, numbers: Sequence[int], values: dict[str, Any]) -> None:
    await session.execute(
        update(trial_images)
        .where(trial_images.c.trial_id == trial_id, trial_images.c.number.in_(numbers))
        .values(values)
    )
