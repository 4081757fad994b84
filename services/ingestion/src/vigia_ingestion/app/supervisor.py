"""Which cameras run here: those whose records lie in the partitions that the group gave to this replica."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from vigia_contracts.cameras import Camera, PushSource
from vigia_ingestion.app.camera import CameraTask
from vigia_runtime.logging import get_logger

log = get_logger(__name__)

MakeTask = Callable[[Camera], CameraTask]


@dataclass(slots=True)
class _Running:
    camera: Camera
    partition: int
    task: asyncio.Task[None]


class Supervisor:
    """One task per camera. A bug in one ends the process: see :meth:`failure`."""

    def __init__(self, make_task: MakeTask) -> None:
        self._make_task = make_task
        self._running: dict[str, _Running] = {}
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def cameras(self) -> Mapping[str, Camera]:
        """The cameras that run here."""
        return {name: running.camera for name, running in self._running.items()}

    async def failure(self) -> None:
        """Returns never; raises the error of the first camera task that ends by a bug."""
        await self._failure

    async def apply(self, partition: int, camera_id: str, camera: Camera | None) -> None:
        """Bring one camera to what its record says; None is a deleted camera."""
        running = self._running.get(camera_id)
        wanted = camera if camera is not None and _is_read(camera) else None
        if running is not None and wanted is not None and _same(running.camera, wanted):
            running.partition = partition
            return
        if running is not None:
            await self._stop(camera_id)
        if wanted is not None:
            self._start(partition, wanted)

    async def release(self, partitions: set[int]) -> None:
        """Stop the cameras of partitions that belong to another replica now."""
        names = [name for name, running in self._running.items() if running.partition in partitions]
        await asyncio.gather(*(self._stop(name) for name in names))

    async def close(self) -> None:
        """Stop every camera."""
        await self.release({running.partition for running in self._running.values()})

    def _start(self, partition: int, camera: Camera) -> None:
        log.info("camera starts", camera=camera.camera_id, source=camera.source.kind, revision=camera.revision)
        task = asyncio.create_task(self._make_task(camera).run(), name=f"camera {camera.camera_id}")
        task.add_done_callback(self._done)
        self._running[camera.camera_id] = _Running(camera, partition, task)

    async def _stop(self, camera_id: str) -> None:
        running = self._running.pop(camera_id)
        running.task.cancel()
        await asyncio.wait({running.task})
        log.info("camera stopped", camera=camera_id)

    def _done(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or self._failure.done():
            return
        error = task.exception()
        if error is not None:
            self._failure.set_exception(error)


def _is_read(camera: Camera) -> bool:
    # Pushed images come to whichever replica the gateway asks.
    return camera.enabled and not isinstance(camera.source, PushSource)


def _same(one: Camera, other: Camera) -> bool:
    """Whether a new record changes nothing for reading: a model or product may change without losing a frame."""

    def relevant(camera: Camera) -> tuple[object, ...]:
        return (camera.account_id, camera.line_id, camera.source, camera.policy)

    return relevant(one) == relevant(other)
