"""How a process lives and ends: one event loop, one side door, one budget for stopping.

SIGTERM or SIGINT sets ``stopping``: not ready any more, nothing new is begun, what is in flight is finished within the
budget, exit 0. A second signal exits at once. A supervised task that fails stops the process the same way, exit 1.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NoReturn

from vigia_runtime import metrics
from vigia_runtime.health import Health
from vigia_runtime.logging import configure, get_logger
from vigia_runtime.settings import ServiceSettings
from vigia_runtime.side import SideServer

#: Seconds from the signal to the end. A pod's grace period must be longer.
BUDGET_SECONDS = 25.0

log = get_logger(__name__)

Main = Callable[["Lifecycle"], Awaitable[None]]


class Lifecycle:
    """What a running process shares: the stop event and its budget, health, supervised tasks."""

    def __init__(self, service: str, health: Health, budget_seconds: float = BUDGET_SECONDS) -> None:
        self.service = service
        self.health = health
        self.stopping = asyncio.Event()
        self._budget = budget_seconds
        self._deadline: float | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._failure: BaseException | None = None

    def remaining(self) -> float:
        """Seconds left to finish: the whole budget until stopping begins, never below 0."""
        if self._deadline is None:
            return self._budget
        return max(0.0, self._deadline - time.monotonic())

    def stop(self) -> None:
        """Begin to stop, once; further calls change nothing."""
        if self._deadline is None:
            self._deadline = time.monotonic() + self._budget
            self.health.stopping = True
            self.stopping.set()

    def spawn(self, name: str, coro: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run ``coro`` as a supervised task: its failure stops the process, which then exits 1.

        Its ordinary end is no failure. At the end of the process the task is awaited within the budget, then cancelled.
        """
        task = asyncio.get_running_loop().create_task(coro, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            log.error("task failed", task=task.get_name(), exc_info=error)
            self._failure = self._failure or error
            self.stop()

    async def supervise(self, main: Main) -> int:
        """Run ``main`` to its end, then the supervised tasks; the exit code."""
        work = self.spawn("main", _await(main(self)))
        beat = self.health.heartbeat("event loop", 10)
        stopper = asyncio.create_task(self.stopping.wait())
        try:
            while not work.done() and not self.stopping.is_set():
                beat.tick()
                await asyncio.wait({work, stopper}, timeout=1, return_when=asyncio.FIRST_COMPLETED)
            self.stop()
            while self._tasks and self.remaining() > 0:
                beat.tick()
                await asyncio.wait(set(self._tasks), timeout=min(1.0, self.remaining()))
        finally:
            stopper.cancel()
        if self._tasks:
            late = sorted(task.get_name() for task in self._tasks)
            log.warning("not finished within the budget, cancelled", tasks=late)
            for task in list(self._tasks):
                task.cancel()
            await asyncio.wait(set(self._tasks), timeout=2)
        self.health.close()
        return 0 if self._failure is None else 1


async def _await(main: Awaitable[None]) -> None:
    await main


def run(main: Main, *, service: str, settings: ServiceSettings) -> NoReturn:
    """Run a process to its end and exit with its code: 0 after a signal or an ordinary end, 1 after a failure.

    Sets up logging, the side door and the signals. ``main`` gets the :class:`Lifecycle`; it returns when its work is
    over or soon after ``lifecycle.stopping`` is set.
    """
    configure(service, settings.log)
    health = Health(service)
    metrics.BUILD.labels(service, _version(service)).set(1)
    side = SideServer(settings.side, health)
    side.start()
    log.info("starting", side_port=side.port, pid=os.getpid())
    try:
        code = asyncio.run(_live(main, service, health))
    finally:
        side.close()
    log.info("stopped", code=code)
    sys.exit(code)


async def _live(main: Main, service: str, health: Health) -> int:
    lifecycle = Lifecycle(service, health, BUDGET_SECONDS)
    loop = asyncio.get_running_loop()

    def on_signal(number: int) -> None:
        if lifecycle.stopping.is_set():
            log.warning("second signal, exiting at once")
            os._exit(128 + number)
        log.info("stopping", signal=signal.Signals(number).name)
        # A thread that hangs (a decoder, a DNS look-up) must not outlive the budget.
        overdue = threading.Timer(BUDGET_SECONDS + 3, os._exit, args=(1,))
        overdue.daemon = True
        overdue.start()
        lifecycle.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    return await lifecycle.supervise(main)


def _version(service: str) -> str:
    try:
        return importlib.metadata.version(f"vigia-{service.split()[0]}")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
