"""Live is progress: every loop ticked within its limit. Ready is dependencies: they really answered, recently.

Answers come from a thread of its own (:mod:`vigia_runtime.side`), so a blocked event loop is reported, not silent.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from vigia_runtime import metrics
from vigia_runtime.errors import AppError, BadMessage
from vigia_runtime.logging import get_logger

log = get_logger(__name__)

Probe = Callable[[], Awaitable[object]]


@dataclass(slots=True)
class Heartbeat:
    """A loop's sign of life. ``tick()`` once a round, also when idle or paused."""

    name: str
    limit_seconds: float
    last: float = field(default_factory=time.monotonic)

    def tick(self) -> None:
        """Say that the loop goes round."""
        self.last = time.monotonic()

    @property
    def age(self) -> float:
        """Seconds since the last tick."""
        return time.monotonic() - self.last


@dataclass(slots=True)
class _Probed:
    name: str
    probe: Probe
    every: float
    state: str = "unknown"
    code: str | None = None
    checked: float | None = None
    task: asyncio.Task[None] | None = None


class Health:
    """What a process knows of its own state. Cheap to ask from any thread."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.stopping = False
        self._heartbeats: dict[str, Heartbeat] = {}
        self._probes: dict[str, _Probed] = {}

    def heartbeat(self, name: str, limit_seconds: float) -> Heartbeat:
        """A heartbeat that must tick at least every ``limit_seconds``, from now on. The same name replaces."""
        beat = Heartbeat(name, limit_seconds)
        self._heartbeats[name] = beat
        return beat

    def forget(self, name: str) -> None:
        """The loop or dependency of this name has ended as it should and is not asked about any more."""
        self._heartbeats.pop(name, None)
        probed = self._probes.pop(name, None)
        if probed is not None and probed.task is not None:
            probed.task.cancel()

    def probe(self, name: str, async_fn: Probe, every_seconds: float = 5) -> None:
        """Ask a dependency every so often, from the running event loop; it answers by returning, fails by raising.

        Until the first success the process is not ready. A probe that takes longer than ``every_seconds`` failed.
        """
        self.forget(name)
        probed = _Probed(name, async_fn, every_seconds)
        self._probes[name] = probed
        probed.task = asyncio.get_running_loop().create_task(self._ask(probed), name=f"probe {name}")

    async def _ask(self, probed: _Probed) -> None:
        while True:
            before = probed.state
            try:
                async with asyncio.timeout(max(probed.every, 1.0)):
                    await probed.probe()
                probed.state, probed.code = "ok", None
            except TimeoutError:
                probed.state, probed.code = "failing", "timeout"
            except Exception as error:  # noqa: BLE001  a probe's purpose is to learn of any failure
                probed.state, probed.code = "failing", _code(error)
            probed.checked = time.monotonic()
            metrics.COMPONENT_UP.labels(self.service, probed.name).set(probed.state == "ok")
            if probed.state != before:
                log.info("component changed", component=probed.name, state=probed.state, code=probed.code)
            await asyncio.sleep(probed.every)

    def close(self) -> None:
        """Stop asking."""
        for probed in self._probes.values():
            if probed.task is not None:
                probed.task.cancel()

    def live(self) -> tuple[bool, dict[str, Any]]:
        """Whether every loop goes round, and a row per loop (state, age in seconds, code)."""
        rows = {
            beat.name: {
                "state": "ok" if beat.age <= beat.limit_seconds else "stuck",
                "age": round(beat.age, 3),
                "code": None if beat.age <= beat.limit_seconds else "no_tick",
            }
            for beat in list(self._heartbeats.values())
        }
        return all(row["state"] == "ok" for row in rows.values()), rows

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """Whether every dependency answered recently and every loop goes round.

        False while stopping, and while starting: a process that has not yet said what it depends on is not ready.
        """
        alive, rows = self.live()
        now = time.monotonic()
        good = alive and not self.stopping and bool(self._probes)
        for probed in list(self._probes.values()):
            age = None if probed.checked is None else now - probed.checked
            state, code = probed.state, probed.code
            if age is not None and age > 3 * probed.every + 5:
                state, code = "stale", "not_asked"
            good = good and state == "ok"
            rows[probed.name] = {"state": state, "age": None if age is None else round(age, 3), "code": code}
        if self.stopping or not self._probes:
            state = "stopping" if self.stopping else "starting"
            rows["process"] = {"state": state, "age": 0.0, "code": state}
        return good, rows


def _code(error: BaseException) -> str:
    if isinstance(error, (AppError, BadMessage)):
        return error.code
    return type(error).__name__
