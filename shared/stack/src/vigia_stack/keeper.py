"""Starts parts in the order of their needs, watches them, and starts again those that die."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

from vigia_stack.errors import NotReady, StackError, tail
from vigia_stack.parts.base import Part, Step
from vigia_stack.process import Process, adopt, spawn

State = Literal["waiting", "starting", "ready", "done", "failed", "stopped"]
_POLL = 0.1  # seconds between looks at a process
_CALM = 60.0  # seconds up after which the back-off starts anew
_LONGEST_PAUSE = 10.0
_TRIES = 3  # deaths before it was ever ready after which a part counts as failed (it is still tried again)


@dataclass
class Status:
    """What is known about a part or step. `seconds`: from start to ready, the last time."""

    state: State = "waiting"
    pid: int | None = None
    restarts: int = 0
    seconds: float | None = None
    adopted: bool = False
    message: str = ""
    address: str = ""
    started: float = field(default=0.0, repr=False)


class Keeper:
    """Minds the given parts and steps; one thread each. `on_change(name, status)` is called from those threads."""

    def __init__(
        self, jobs: Sequence[Part | Step], *, restart: bool, on_change: Callable[[str, Status], None] | None = None
    ) -> None:
        self._jobs = {job.name: job for job in jobs}
        self._restart = restart
        self._on_change = on_change
        self._stopping = threading.Event()
        self._ready = {name: threading.Event() for name in self._jobs}
        self._status = {name: Status() for name in self._jobs}
        self._processes: dict[str, Process] = {}
        self._threads: list[threading.Thread] = []
        for name, job in self._jobs.items():
            missing = [need for need in job.needs if need not in self._jobs]
            if missing:
                raise StackError(f"{name} needs {', '.join(missing)}, which is not part of this stack")

    @property
    def status(self) -> Mapping[str, Status]:
        return self._status

    def start(self) -> None:
        """Begin; returns at once. See `wait`."""
        for job in self._jobs.values():
            thread = threading.Thread(target=self._mind, args=(job,), name=job.name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def wait(self, within: float = 300.0) -> None:
        """Until all are ready. Raises StackError with the last log lines of the first part that failed."""
        deadline = time.monotonic() + within
        while not all(event.is_set() for event in self._ready.values()):
            for name, status in self._status.items():
                if status.state == "failed":
                    raise StackError(f"{name} failed: {status.message}")
            if time.monotonic() > deadline:
                late = [name for name, event in self._ready.items() if not event.is_set()]
                raise StackError(f"not ready after {within:.0f} s: {', '.join(late)}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop everything in the reverse order of needs; parts that nothing depends on at the same time."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        left = {name: job for name, job in self._jobs.items() if isinstance(job, Part)}
        while left:
            needed = {need for job in left.values() for need in self._all_needs(job)}
            batch = [job for name, job in left.items() if name not in needed]
            threads = [threading.Thread(target=self._end, args=(job,)) for job in batch]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            for job in batch:
                del left[job.name]

    def _all_needs(self, job: Part | Step) -> set[str]:
        found: set[str] = set()
        for need in job.needs:
            found |= {need} | self._all_needs(self._jobs[need])
        return found

    def _end(self, part: Part) -> None:
        process = self._processes.pop(part.name, None)
        if process is not None:
            process.stop(part.grace, part.stop_signal)
        self._set(part.name, state="stopped", pid=None)

    def _mind(self, job: Part | Step) -> None:
        while not all(self._ready[need].wait(_POLL) for need in job.needs):
            if self._stopping.is_set():
                return
        try:
            if isinstance(job, Step):
                self._set(job.name, state="starting", started=time.time())
                began = time.monotonic()
                job.run()
                self._set(job.name, state="done", seconds=time.monotonic() - began)
                self._ready[job.name].set()
            else:
                self._keep(job)
        except Exception as error:  # noqa: BLE001 - a thread's end is a process boundary: nothing above could report it
            self._set(job.name, state="failed", message=str(error) or repr(error))

    def _keep(self, part: Part) -> None:
        deaths = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            process = self._start(part)
            ready = self._await_ready(part, process, began)
            if ready:
                self._set(part.name, state="ready", seconds=time.monotonic() - began, message="")
                self._ready[part.name].set()
            while process.alive and ready and not self._stopping.is_set():
                time.sleep(_POLL)
            if self._stopping.is_set():
                return
            deaths = 1 if ready and time.monotonic() - began > _CALM else deaths + 1
            self._bury(part, process, was_ready=ready, deaths=deaths)
            if not self._restart:
                return
            if deaths > 1:
                self._stopping.wait(min(0.25 * 2**deaths, _LONGEST_PAUSE))

    def _start(self, part: Part) -> Process:
        running = adopt(part.site.pid_file(part.name))
        part.prepare()
        self._set(part.name, state="starting", address=part.address(), adopted=running is not None, started=time.time())
        process = running or spawn(part.command(), part.site.log(part.name), part.site.pid_file(part.name))
        self._processes[part.name] = process
        self._set(part.name, pid=process.pid)
        return process

    def _await_ready(self, part: Part, process: Process, began: float) -> bool:
        pause = 0.1
        while process.alive and not self._stopping.is_set():
            try:
                part.check()
            except NotReady as error:
                late = time.monotonic() - began > part.ready_within
                if late:
                    process.stop(part.grace, part.stop_signal)
                    self._set(part.name, message=f"not ready after {part.ready_within:.0f} s: {error}")
                    return False
            else:
                return True
            self._stopping.wait(pause)
            pause = min(pause * 1.3, 0.5)
        return False

    def _bury(self, part: Part, process: Process, *, was_ready: bool, deaths: int) -> None:
        status = self._status[part.name]
        if not process.alive:
            process.clear()
        end = "" if process.exit_status is None else f" with status {process.exit_status}"
        reason = status.message or f"ended{end}"
        failed = not self._restart or (deaths >= _TRIES and not was_ready)
        message = f"{reason}; last lines of {part.site.log(part.name)}:\n{tail(part.site.log(part.name))}"
        self._set(
            part.name, state="failed" if failed else "starting", pid=None, restarts=status.restarts + 1,
            message=message if failed else "",
        )  # fmt: skip

    def _set(self, name: str, **changes: object) -> None:
        status = self._status[name]
        for key, value in changes.items():
            setattr(status, key, value)
        if self._on_change is not None:
            with contextlib.suppress(OSError):  # a full disk must not stop the watching
                self._on_change(name, status)


def as_data(status: Status) -> dict[str, object]:
    """A status as JSON-ready data."""
    return asdict(status)
