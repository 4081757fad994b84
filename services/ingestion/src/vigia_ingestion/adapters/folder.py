"""A folder as a camera: every image file that appears in it is one frame, once, in order of name."""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from vigia_contracts.cameras import Camera, FolderSource
from vigia_ingestion.app.ports import Intake, SourceError
from vigia_ingestion.domain.frame import JPEG, PNG, ContentType, Frame, is_complete, kind_of

SUFFIXES: dict[str, ContentType] = {".jpg": JPEG, ".jpeg": JPEG, ".png": PNG}
LOOK_SECONDS = 0.2
#: A file that does not end as an image should is taken as it is when it has not changed for so long.
SETTLE_SECONDS = 2.0
MOST_BYTES = 64 * 1024 * 1024
#: Files taken in order per look.
BATCH = 64
_PRUNE_FROM = 1000


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    size: int
    modified_ns: int

    @property
    def frame_id(self) -> str:
        """The same file gives the same id, any time; a file written anew under its old name is a new frame."""
        return hashlib.blake2b(f"{self.name}\x1f{self.size}\x1f{self.modified_ns}".encode(), digest_size=16).hexdigest()


class _Journal:
    """Ids of the files already published, kept in the folder itself so that it moves with the camera.

    In a folder that cannot be written to, the ids are kept in memory alone: after a restart its files come again
    under the same ids, and have no second effect. Memory is one id per file still in the folder.
    """

    def __init__(self, folder: Path, camera_id: str) -> None:
        self._path = folder / f".vigia-{camera_id}.done"
        self._writable = True
        self.done: set[str] = set()

    def load(self) -> None:
        """Read what was done before."""
        try:
            self.done = set(self._path.read_text().split())
        except FileNotFoundError:
            return

    def prune(self, present: set[str]) -> None:
        """Forget files that are gone, when they are many."""
        if len(self.done) <= 2 * len(present) + _PRUNE_FROM:
            return
        self.done &= present
        fresh = self._path.with_suffix(".new")
        try:
            fresh.write_text("".join(f"{name}\n" for name in sorted(self.done)))
            fresh.replace(self._path)
        except OSError:
            self._writable = False

    def add(self, frame_id: str) -> None:
        """A file's frame is durable in Kafka."""
        self.done.add(frame_id)
        if self._writable:
            try:
                with self._path.open("a") as journal:
                    journal.write(f"{frame_id}\n")
            except OSError:
                self._writable = False


class FolderReader:
    """Looks into the folder again and again."""

    def __init__(self, camera: Camera, source: FolderSource) -> None:
        self._folder = Path(source.path)
        self._journal = _Journal(self._folder, camera.camera_id)
        rate = camera.policy.frames_per_second
        self._interval = 1.0 / rate if rate else 0.0
        self._handed: set[str] = set()
        self._settling: dict[str, tuple[_File, float]] = {}

    async def read(self, intake: Intake) -> None:
        """See :class:`vigia_ingestion.app.ports.Reader`."""
        try:
            await asyncio.to_thread(self._journal.load)
            while True:
                files, present = await asyncio.to_thread(self._look)
                self._forget_gone(files, present)
                handed = [await self._hand_over(file, intake) for file in files]
                if sum(handed) < BATCH:
                    await asyncio.sleep(LOOK_SECONDS)
        except FileNotFoundError as error:
            raise SourceError("not_found", "the folder does not exist") from error
        except PermissionError as error:
            raise SourceError("auth", "the folder may not be read") from error
        except OSError as error:
            raise SourceError("disconnected", f"the folder cannot be read: {error.strerror}") from error

    def _look(self) -> tuple[list[_File], set[str]]:
        """The first files in order of name that are not handed over yet; the ids of all files."""
        present: set[str] = set()

        def new() -> Iterator[_File]:
            for file in _images(self._folder):
                name = file.frame_id
                present.add(name)
                if name not in self._journal.done and name not in self._handed:
                    yield file

        return heapq.nsmallest(BATCH, new(), key=lambda file: file.name), present

    def _forget_gone(self, files: list[_File], present: set[str]) -> None:
        self._journal.prune(present)
        self._handed &= present
        names = {file.name for file in files}
        self._settling = {name: seen for name, seen in self._settling.items() if name in names}

    async def _hand_over(self, file: _File, intake: Intake) -> bool:
        """Make a frame of the file; False when it is not whole yet, or gone."""
        path = self._folder / file.name
        if file.size > MOST_BYTES:
            return self._refuse(file, intake)
        try:
            data = await asyncio.to_thread(path.read_bytes)
            captured_at = datetime.now(UTC)
            after = await asyncio.to_thread(path.stat)
        except FileNotFoundError:
            return False  # taken away by its owner between the look and the reading
        if (after.st_size, after.st_mtime_ns) != (file.size, file.modified_ns) or len(data) != file.size:
            return False  # still being written
        if not is_complete(data) and not self._is_settled(file):
            return False
        kind = kind_of(data) or SUFFIXES[path.suffix.lower()]
        self._handed.add(file.frame_id)
        await intake.frame(
            Frame(data, kind, "folder", file.frame_id, captured_at, published=self._publisher(file.frame_id))
        )
        if self._interval:
            await asyncio.sleep(self._interval)
        return True

    def _publisher(self, frame_id: str) -> Callable[[], None]:
        return lambda: self._journal.add(frame_id)

    def _refuse(self, file: _File, intake: Intake) -> bool:
        if not self._is_settled(file):
            return False
        self._journal.add(file.frame_id)
        intake.broken("too_large")
        return True

    def _is_settled(self, file: _File) -> bool:
        now = time.monotonic()
        seen, since = self._settling.get(file.name, (file, now))
        if seen != file:
            since = now
        self._settling[file.name] = (file, since)
        return now - since >= SETTLE_SECONDS


def _images(folder: Path) -> Iterator[_File]:
    """Every image file in the folder. Hidden files are their writers' affair."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or Path(entry.name).suffix.lower() not in SUFFIXES:
                continue
            try:
                found = entry.stat()
            except FileNotFoundError:
                continue
            if stat.S_ISREG(found.st_mode):
                yield _File(entry.name, found.st_size, found.st_mtime_ns)
