"""Trial detections: use cases. Every function works in the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from vigia_registry.identity.domain import Owner
from vigia_registry.jobs import queue
from vigia_registry.models import service as models
from vigia_registry.models.domain import ModelState, ModelVersion, Numbered, VersionName
from vigia_registry.models.errors import ModelBusy
from vigia_registry.pagination import Page, Pages
from vigia_registry.projects import service as projects
from vigia_registry.settings import LimitSettings
from vigia_registry.trials import repository
from vigia_registry.trials.domain import (
    TRANSITIONS,
    ImageFilter,
    Label,
    Order,
    SourceKind,
    Trial,
    TrialCounts,
    TrialImage,
    TrialRequest,
    TrialState,
    TrialView,
    safe_name,
)
from vigia_registry.trials.errors import (
    BadImage,
    ImageNotFound,
    TooManyImages,
    TooManyTrials,
    TrialBusy,
    TrialEmpty,
    TrialExists,
    TrialNotFound,
)
from vigia_runtime.objects import ObjectStore
from vigia_runtime.sealing import Seal
from vigia_vision import DecodeError, probe

_CREATED: Final = "The trial waits for its images, and to be started."
_RUNNING: Final = "The model is judging the images."


async def create(
    session: AsyncSession,
    objects: ObjectStore,
    limits: LimitSettings,
    owner: Owner,
    project_name: str,
    version: VersionName,
    request: TrialRequest,
    keys: Sequence[str],
) -> TrialView:
    """A new trial of a trained version, hosted or not; with ``keys`` of images it starts when the transaction commits.

    ProjectNotFound, ProjectBeingDeleted, ModelNotFound, ModelBusy, UnknownKey, TrialExists, TooManyTrials.
    """
    objects.check(Seal(owner.account_id, request.kms_key_id))
    project = await projects.lock_active(session, owner, project_name)
    view = await models.get(session, owner, project_name, version)
    if view.model.state is not ModelState.TRAINED:
        raise ModelBusy(Numbered(project_name, view.model.version), view.named_status, "tried out")
    if await repository.count(session, project.id) >= limits.trials:
        raise TooManyTrials(project_name, limits.trials)
    now = datetime.now(UTC)
    trial = Trial(
        id=uuid4(),
        project_id=project.id,
        project=project.name,
        account_id=project.account_id,
        model_version_id=view.model.id,
        model_version=view.model.version,
        name=request.name,
        source=request.source,
        kms_key_id=request.kms_key_id,
        labels=_labels(view.model),
        state=TrialState.IN_PROGRESS if keys else TrialState.CREATED,
        status_message=_RUNNING if keys else _CREATED,
        created_at=now,
        started_at=now if keys else None,
        ended_at=None,
    )
    if not await repository.add(session, trial):
        raise TrialExists(project_name, request.name)
    if keys:
        await repository.add_images(session, trial.id, keys)
        await queue.trial_run(session, trial.id)
    return await _view(session, trial)


async def upload(
    session: AsyncSession,
    objects: ObjectStore,
    limits: LimitSettings,
    owner: Owner,
    trial_id: UUID,
    name: str,
    data: bytes,
) -> TrialImage:
    """Store an image of a trial that was not started yet; one of that name is replaced.

    TrialNotFound, TrialBusy, BadImage, TooManyImages.
    """
    try:
        info = probe(data)
    except DecodeError as error:
        raise BadImage(f"{name}: {error}") from error
    # Locked while the object is written: whoever deletes the project waits, and then deletes the object too.
    trial = await lock(session, owner, trial_id)
    if trial.source.kind is not SourceKind.UPLOAD or trial.state is not TrialState.CREATED:
        raise TrialBusy(trial.name, trial.state, "given images")
    number = await repository.number_of(session, trial.id, name)
    if number is None:
        number = await repository.image_count(session, trial.id) + 1
        if number > limits.trial_images:
            raise TooManyImages(limits.trial_images)
    key = f"{trial.prefix}images/{number:05d}-{safe_name(name)}"
    await objects.put(trial.source.bucket, key, data, f"image/{info.format}", seal_of(trial))
    await repository.put_image(session, trial.id, number, name, key)
    return await image(session, trial, number)


async def start(session: AsyncSession, owner: Owner, trial_id: UUID) -> TrialView:
    """Start a trial that has its images, or one that failed: what was judged stays judged.

    TrialNotFound, TrialBusy, TrialEmpty, and as for ``create`` when its version cannot be used any more.
    """
    trial = await lock(session, owner, trial_id)
    if TrialState.IN_PROGRESS not in TRANSITIONS[trial.state]:
        raise TrialBusy(trial.name, trial.state, "started")
    view = await models.get(session, owner, trial.project, trial.model_version)
    if view.model.state is not ModelState.TRAINED:
        raise ModelBusy(Numbered(trial.project, trial.model_version), view.named_status, "tried out")
    if await repository.image_count(session, trial.id) == 0:
        raise TrialEmpty(trial.name)
    await repository.move(session, trial, TrialState.IN_PROGRESS, _RUNNING)
    await queue.trial_run(session, trial.id)
    return await get(session, owner, trial_id)


async def get(session: AsyncSession, owner: Owner, trial_id: UUID) -> TrialView:
    """A trial and its counts; TrialNotFound."""
    return await _view(session, await find(session, owner, trial_id))


async def page(
    session: AsyncSession, pages: Pages, owner: Owner, project_name: str, token: str | None, limit: int
) -> Page[TrialView]:
    """The project's trials, newest first; ProjectNotFound."""
    project = await projects.get(session, owner, project_name)
    scope = ("trials", str(project.id))
    position = pages.read(scope, token)
    before = None if position is None else (datetime.fromisoformat(position[0]), UUID(position[1]))
    rows = await repository.page(session, project.id, before, limit + 1)
    found = pages.cut(scope, rows, limit, lambda row: [row.created_at.isoformat(), str(row.id)])
    counts = await repository.counts(session, [trial.id for trial in found.items])
    return Page([TrialView(trial, counts.get(trial.id, TrialCounts())) for trial in found.items], found.next_token)


async def page_of_images(
    session: AsyncSession,
    pages: Pages,
    trial: Trial,
    chosen: ImageFilter,
    order: Order,
    token: str | None,
    limit: int,
) -> Page[TrialImage]:
    """Images of a trial, as ``order`` says."""
    scope = ["trial-images", str(trial.id), order.value, *chosen.scope()]
    position = pages.read(scope, token)
    after = None if position is None else (float(position[0]), int(position[1]))
    rows = await repository.images_page(session, trial.id, chosen, order, after, limit + 1)
    found = pages.cut(scope, rows, limit, lambda row: [repr(row[0]), str(row[1].number)])
    return Page([image for _, image in found.items], found.next_token)


async def image(session: AsyncSession, trial: Trial, number: int) -> TrialImage:
    """An image of a trial; ImageNotFound."""
    [found] = await images(session, trial, [number])
    return found


async def images(session: AsyncSession, trial: Trial, numbers: Sequence[int]) -> list[TrialImage]:
    """Images of a trial, by number; ImageNotFound when one of them is not there."""
    found = await repository.images(session, trial.id, numbers)
    missing = sorted(set(numbers) - {image.number for image in found})
    if missing:
        raise ImageNotFound(f"Trial {trial.name} has no image {missing[0]}.")
    return found


async def find(session: AsyncSession, owner: Owner, trial_id: UUID) -> Trial:
    """A trial; TrialNotFound."""
    trial = await repository.find(session, owner, trial_id)
    if trial is None:
        raise TrialNotFound(trial_id)
    return trial


async def lock(session: AsyncSession, owner: Owner, trial_id: UUID) -> Trial:
    """As ``find``; nobody else changes it until the transaction ends."""
    trial = await repository.lock(session, owner, trial_id)
    if trial is None:
        raise TrialNotFound(trial_id)
    return trial


def seal_of(trial: Trial) -> Seal:
    """How what Vigia keeps of the trial is encrypted."""
    return Seal(trial.account_id, trial.kms_key_id)


async def _view(session: AsyncSession, trial: Trial) -> TrialView:
    return TrialView(trial, (await repository.counts(session, [trial.id])).get(trial.id, TrialCounts()))


def _labels(model: ModelVersion) -> tuple[Label, ...]:
    """The labels in the manifest of the version's artifact, as ``vigia_vision.Manifest`` writes them."""
    return tuple(Label(label["name"], label["color"]) for label in (model.manifest or {}).get("labels", []))
