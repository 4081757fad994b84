"""The sample line: a camera that plays held-back photographs, and every verdict beside the truth."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from vigia_client.api import ApiError, Vigia
from vigia_stack.errors import StackError

LINE, CAMERA, PRODUCT = "demo", "oven-1", "cookie"
PERIOD = 1.0  # seconds from one part to the next
_DONE_AFTER = 30.0  # seconds without a verdict after which the run counts as over


@dataclass(frozen=True, slots=True)
class Seen:
    """One part: its photograph, its truth, and what was decided. ``latency``: seconds from capture to readable row."""

    file: str
    anomalous: bool
    inspection: dict[str, Any]
    latency: float

    @property
    def right(self) -> bool:
        """Whether the verdict is the truth; neither INVALID nor REVIEW is."""
        return bool(self.inspection["verdict"] == ("REJECT" if self.anomalous else "PASS"))


@dataclass(slots=True)
class Result:
    """All parts of a run, in the order of their rows."""

    seen: list[Seen] = field(default_factory=list)

    def count(self, verdict: str) -> int:
        """Parts with this verdict."""
        return sum(part.inspection["verdict"] == verdict for part in self.seen)

    @property
    def right(self) -> int:
        """Parts judged as they are."""
        return sum(part.right for part in self.seen)

    @property
    def median(self) -> float:
        """Median latency, seconds."""
        return statistics.median(part.latency for part in self.seen)

    @property
    def p99(self) -> float:
        """99th percentile of the latency, seconds; with few parts that is the slowest."""
        ordered = sorted(part.latency for part in self.seen)
        return ordered[min(len(ordered) - 1, round(0.99 * len(ordered)))]


@contextmanager
def camera(folder: Path, log: Path) -> Iterator[str]:
    """A real RTSP server that plays the folder once for each viewer; gives its address."""
    command = [sys.executable, "-m", "vigia_stack.camera", str(folder), "--once", "--fps", str(1 / PERIOD)]
    process = subprocess.Popen(
        [*command, "--log", str(log)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        if not address:
            raise StackError(f"the camera did not start (exit code {process.wait(5)})")
        yield address
    finally:
        process.terminate()
        process.wait(10)


def register(api: Vigia, project: str, address: str) -> None:
    """The line and its camera, with the project's hosted model as its judge. The camera begins to play."""
    try:
        api.add_line(LINE, "Cookies from the oven")
    except ApiError as error:
        if error.status != httpx.codes.CONFLICT:  # an earlier demo made it
            raise
    api.put_camera(
        CAMERA,
        {"kind": "rtsp", "url": address},
        line_id=LINE,
        station="exit",
        product=PRODUCT,
        project=project,
        enabled=True,
        policy={"overload": "every", "frames_per_second": 1 / PERIOD, "blind_after_seconds": 5},
    )


def switch_off(api: Vigia) -> None:
    """Ends the camera's run: a line that stands still is no fault."""
    api.enable_camera(CAMERA, False)


class Watch:
    """Follows the verdicts of the camera, beginning now."""

    def __init__(self, api: Vigia, log: Path, expected: int) -> None:
        self._api = api
        self._log = log
        self._expected = expected
        self._cursor: str = api.inspection_page(camera=CAMERA, after="now")["next"]

    def parts(self) -> Iterator[Seen]:
        """Each part as its row becomes readable, until all are there or nothing more comes."""
        quiet_since = time.monotonic()
        count = 0
        while count < self._expected and time.monotonic() - quiet_since < _DONE_AFTER:
            page = self._api.inspection_page(camera=CAMERA, after=self._cursor, wait=5)
            readable = datetime.now(UTC)
            self._cursor = page["next"]
            for inspection in page["items"]:
                quiet_since = time.monotonic()
                count += 1
                yield self._seen(inspection, readable)

    def _seen(self, inspection: dict[str, Any], readable: datetime) -> Seen:
        captured = datetime.fromisoformat(inspection["captured_at"])
        file = self._shown(captured)
        return Seen(file, "anomaly" in file, inspection, (readable - captured).total_seconds())

    def _shown(self, captured: datetime) -> str:
        """What the camera was showing at that moment, by the camera's own record."""
        for text in reversed(self._log.read_text().splitlines()):
            entry = json.loads(text)
            sent = datetime.fromisoformat(entry["sent_at"])
            if sent <= captured < sent + timedelta(seconds=PERIOD):
                return str(entry["file"])
        raise StackError(f"a frame was captured at {captured}, when the camera showed nothing")
