"""Cameras: use cases. Every function works in the caller's transaction, announcements included."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from vigia_contracts.cameras import CAMERA_CHANGED
from vigia_contracts.events import Event
from vigia_contracts.topics import CAMERAS
from vigia_registry import schema
from vigia_registry.cameras import repository
from vigia_registry.cameras.domain import CameraSpec, StoredCamera, with_credentials
from vigia_registry.cameras.errors import BadCamera, CameraIdTaken, CameraNotFound
from vigia_registry.hosting import announcements
from vigia_registry.identity.domain import Owner
from vigia_registry.lines import service as lines
from vigia_registry.models import repository as models
from vigia_registry.pagination import Page, Pages
from vigia_registry.projects import repository as projects
from vigia_registry.projects.domain import ProjectState


async def put(session: AsyncSession, owner: Owner, camera_id: str, spec: CameraSpec) -> tuple[StoredCamera, bool]:
    """The camera, new or replaced, and whether it is new. BadCamera, CameraIdTaken.

    Repeating it announces nothing twice.
    """
    before = await repository.lock(session, camera_id)
    if before is not None and (before.account_id, before.region) != (owner.account_id, owner.region):
        raise CameraIdTaken(camera_id)
    spec = replace(spec, source=with_credentials(spec.source, None if before is None else before.spec.source))
    if before is not None and before.spec == spec:
        return before, False
    await _check(session, owner, spec)
    return await _write(session, owner, camera_id, spec), before is None


async def enable(session: AsyncSession, owner: Owner, camera_id: str, enabled: bool) -> StoredCamera:
    """Read the camera again, or no more. CameraNotFound."""
    before = await _lock(session, owner, camera_id)
    if before.spec.enabled == enabled:
        return before
    return await _write(session, owner, camera_id, replace(before.spec, enabled=enabled))


async def get(session: AsyncSession, owner: Owner, camera_id: str) -> StoredCamera:
    """The camera of that id; CameraNotFound."""
    camera = await repository.find(session, owner, camera_id)
    if camera is None:
        raise CameraNotFound(camera_id)
    return camera


async def page(
    session: AsyncSession, pages: Pages, owner: Owner, line_id: str | None, token: str | None, limit: int
) -> Page[StoredCamera]:
    """Cameras of the account in the region, by id."""
    scope = ("cameras", owner.account_id, owner.region, line_id)
    position = pages.read(scope, token)
    rows = await repository.page(session, owner, line_id, None if position is None else position[0], limit + 1)
    return pages.cut(scope, rows, limit, lambda camera: [camera.camera_id])


async def remove(session: AsyncSession, owner: Owner, camera_id: str) -> None:
    """Forget the camera; what it saw stays. CameraNotFound."""
    await _lock(session, owner, camera_id)
    await repository.remove(session, camera_id)
    await schema.announcements.add_tombstone(session, CAMERAS, camera_id)
    await announcements.refresh_camera(session, camera_id)


async def repeat(session: AsyncSession, camera_id: str, revision: int | None) -> bool:
    """Announce a camera once more as it is, or (``revision`` None) that there is none.

    False, and nothing, where that is no longer its revision: then the change was announced.
    """
    camera = await repository.lock(session, camera_id)
    if (None if camera is None else camera.revision) != revision:
        return False
    if camera is None:
        await schema.announcements.add_tombstone(session, CAMERAS, camera_id)
    else:
        await _announce(session, camera)
    return True


async def _lock(session: AsyncSession, owner: Owner, camera_id: str) -> StoredCamera:
    camera = await repository.lock(session, camera_id)
    if camera is None or (camera.account_id, camera.region) != (owner.account_id, owner.region):
        raise CameraNotFound(camera_id)
    return camera


async def _check(session: AsyncSession, owner: Owner, spec: CameraSpec) -> None:
    """What a camera names must exist."""
    if spec.line_id is not None and not await lines.hold(session, owner, spec.line_id):
        raise BadCamera("line_id", f"line {spec.line_id} does not exist")
    if spec.project is None:
        if spec.model_version is not None:
            raise BadCamera("model_version", "a version is of a project; name that too")
        return
    project = await projects.by_name(session, owner, spec.project)
    if project is None or project.state is not ProjectState.ACTIVE:
        raise BadCamera("project", f"project {spec.project} does not exist")
    if spec.model_version is not None and await models.find(session, project.id, spec.model_version) is None:
        raise BadCamera("model_version", f"project {spec.project} has no version {spec.model_version}")


async def _write(session: AsyncSession, owner: Owner, camera_id: str, spec: CameraSpec) -> StoredCamera:
    camera = await repository.put(session, owner, camera_id, spec)
    await _announce(session, camera)
    await announcements.refresh_camera(session, camera_id)
    return camera


async def _announce(session: AsyncSession, camera: StoredCamera) -> None:
    event = Event(
        type=CAMERA_CHANGED,
        source=announcements.SOURCE,
        id=str(uuid4()),
        time=datetime.now(UTC),
        data=camera.record(),
        key=camera.camera_id,
        subject=camera.camera_id,
    )
    await schema.announcements.add(session, CAMERAS, event)
