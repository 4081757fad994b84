"""What the aggregator's tests share: inspections to send, the real processes, comparisons."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import Popen
from typing import Any

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from vigia_contracts.events import Event
from vigia_contracts.frames import inspection_id
from vigia_contracts.inspections import INSPECTION_DECIDED, Evidence, Inspection, InvalidCause, LabelArea, Verdict
from vigia_contracts.topics import INSPECTIONS
from vigia_runtime.kafka.producer import Producer

ACCOUNT = "123456789012"
_VERDICTS = (Verdict.PASS, Verdict.PASS, Verdict.REJECT, Verdict.REVIEW, Verdict.INVALID)


def make_inspection(number: int, run: str = "run", **changes: Any) -> Inspection:
    """The ``number``-th inspection of a run: the same number and run give the same inspection, whoever asks."""
    verdict = _VERDICTS[number % len(_VERDICTS)]
    captured = changes.pop("captured_at", datetime.now(UTC) - timedelta(seconds=1))
    judged = verdict is not Verdict.INVALID
    values: dict[str, Any] = {
        "inspection_id": inspection_id(run, str(number)),
        "frame_id": str(number),
        "frame_source": run,
        "account_id": ACCOUNT,
        "camera_id": f"cam-{number % 4}",
        "line_id": f"line-{number % 2}",
        "product": "cookie",
        "project": "cookies",
        "model_version": str(number % 3 + 1),
        "verdict": verdict,
        "cause": None if judged else InvalidCause.LATE,
        "is_anomalous": verdict is Verdict.REJECT if judged else None,
        "confidence": 0.9 if judged else None,
        "score": 0.25 if judged else None,
        "threshold": 0.5 if judged else None,
        "labels": [LabelArea(name="cracked", area=0.1, color="#ff0000")] if verdict is Verdict.REJECT else [],
        "evidence": Evidence(),
        "captured_at": captured,
        "received_at": captured,
        "decided_at": captured + timedelta(milliseconds=40),
        "timings": {"queue": 0.01, "infer": 0.02, "total": 0.04},
    }
    return Inspection.model_validate(values | changes)


def event_of(inspection: Inspection) -> Event:
    """As detection publishes it."""
    return Event(
        type=INSPECTION_DECIDED,
        source="detection",
        id=str(inspection.inspection_id),
        time=inspection.decided_at,
        data=inspection,
        key=inspection.camera_id,
    )


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 60, what: str = "condition") -> None:
    """Wait for ``condition``; fails after ``seconds``."""
    end = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        await asyncio.sleep(0.05)


def free_port() -> int:
    """A port that was free a moment ago."""
    with closing(socket.socket()) as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


class Process:
    """A real process of the aggregator, with its log."""

    def __init__(self, command: str, environment: dict[str, str], folder: Path) -> None:
        self._argv = [sys.executable, "-m", "vigia_aggregator.entrypoints.cli", command]
        self.side = free_port()
        self._environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("VIGIA_")},
            **environment,
            "VIGIA_AGGREGATOR_SIDE__PORT": str(self.side),
        }
        self.log = folder / f"{command}-{self.side}.log"
        self.process: Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as out:
            self.process = Popen(self._argv, env=self._environment, stdout=out, stderr=out, start_new_session=True)

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    async def ended(self, seconds: float = 40) -> int:
        """The exit code."""
        process = self.process
        assert process is not None

        async def over() -> bool:
            return process.poll() is not None

        await until(over, seconds, "process ends")
        assert process.returncode is not None
        return process.returncode

    async def ready(self, seconds: float = 60) -> None:
        async def answers() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            return await self._status("/ready") == 200

        await until(answers, seconds, f"{self.log} ready")

    async def get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.get(f"http://127.0.0.1:{self.side}{path}")

    async def _status(self, path: str) -> int:
        try:
            return (await self.get(path)).status_code
        except httpx.TransportError:
            return 0

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


async def publish(producer: Producer, inspections: list[Inspection]) -> None:
    """All of them, durable on return."""
    await asyncio.gather(*(producer.send(INSPECTIONS, event_of(one)) for one in inspections))


async def scalar(engine: AsyncEngine, query: str) -> Any:
    """One value."""
    async with engine.connect() as connection:
        return (await connection.execute(text(query))).scalar()


async def rollups_equal_rows(engine: AsyncEngine) -> None:
    """Every resolution of the rollups holds exactly the rows of the history, by all its dimensions."""
    rows = (
        "select {bucket} as bucket, account_id, coalesce(line_id, ''), coalesce(camera_id, ''), coalesce(product, ''), "
        "coalesce(project, ''), coalesce(model_version, ''), verdict, coalesce(cause, ''), shadow, count(*), "
        "count(score), round(coalesce(sum(score), 0)::numeric, 6) from inspection.inspections "
        "group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 order by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10"
    )
    counted = (
        "select bucket, account_id, line_id, camera_id, product, project, model_version, verdict, cause, shadow, "
        "inspections, scored, round(score_sum::numeric, 6) from inspection.rollups where resolution = '{name}' "
        "order by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10"
    )
    async with engine.connect() as connection:
        for name in ("minute", "hour", "day", "total"):
            bucket = "timestamptz 'epoch'" if name == "total" else f"date_trunc('{name}', captured_at, 'UTC')"
            expected = (await connection.execute(text(rows.format(bucket=bucket)))).all()
            found = (await connection.execute(text(counted.format(name=name)))).all()
            assert [tuple(row) for row in found] == [tuple(row) for row in expected], name


def new_run() -> str:
    """A source of frames that no other test has."""
    return uuid.uuid4().hex
