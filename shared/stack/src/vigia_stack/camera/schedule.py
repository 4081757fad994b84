"""What a camera shows when, and the record of what it showed."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path


@dataclass(slots=True)
class Photograph:
    """One part of the line: its file's name and content."""

    name: str
    data: bytes


@dataclass(slots=True)
class Line:
    """Photographs that pass in order, ``fps`` a second, from the first for every viewer.

    ``once``: after the last one the picture stands still, the connection stays. ``log``: a file that gets a JSON line
    ``{"file", "index", "sent_at"}`` for every photograph sent. ``stalled``: while set, viewers are left waiting.
    """

    photographs: list[Photograph]
    fps: float = 1.0
    once: bool = False
    log: Path | None = None
    stalled: bool = False
    shown: int = field(default=0, init=False)

    @classmethod
    def of_folder(cls, folder: Path, **options: object) -> Line:
        """The JPEGs and PNGs of a folder in order of name."""
        files = sorted(p for p in folder.iterdir() if p.suffix.lower() in {".jpg", ".jpeg", ".png"})
        if not files:
            raise ValueError(f"{folder} has no JPEG or PNG")
        return cls([Photograph(p.name, p.read_bytes()) for p in files], **options)  # type: ignore[arg-type]

    async def pass_by(self) -> AsyncIterator[int]:
        """Indices of photographs at their times, for one viewer."""
        started = time.monotonic()
        index = 0
        while not self.once or index < len(self.photographs):
            await asyncio.sleep(max(0.0, started + index / self.fps - time.monotonic()))
            if not self.stalled:
                yield index % len(self.photographs)
            index += 1
        await asyncio.Event().wait()

    def record(self, index: int) -> None:
        """Notes that photograph ``index`` is being sent now."""
        self.shown += 1
        if self.log is not None:
            entry = {
                "file": self.photographs[index].name,
                "index": index,
                "sent_at": datetime.now(UTC).isoformat(timespec="microseconds"),
            }
            with self.log.open("a") as file:
                file.write(json.dumps(entry) + "\n")
