"""One Vigia process at a time, for tests of a service against real parts: started, killed, started again."""

from __future__ import annotations

import signal
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from vigia_stack.errors import StackError, tail
from vigia_stack.parts.base import plain_environment
from vigia_stack.ports import Ports
from vigia_stack.process import Command, Process, spawn
from vigia_stack.services import PROCESSES, ServiceProcess


class RunningService:
    """A process of a service. `kill` is `kill -9`; `stop` is what a plant does; `start` begins it again."""

    def __init__(self, process: ServiceProcess, environment: Mapping[str, str], folder: Path) -> None:
        ports = Ports(folder / "ports.json", well_known=False)
        prefix = f"VIGIA_{process.service.name.upper()}_"
        doors = {f"{prefix}SIDE__PORT": str(ports.get("side"))}
        if process.http:
            doors[f"{prefix}HTTP__PORT"] = str(ports.get("http"))
        self.side_url = f"http://127.0.0.1:{ports.get('side')}"
        self.http_url = f"http://127.0.0.1:{ports.get('http')}"
        self.log = folder / f"{process.name}.log"
        self._name = process.name
        self._command = Command(process.argv(), {**plain_environment(), **doors, **environment})
        self._pid_file = folder / f"{process.name}.pid"
        self._process: Process | None = None

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.alive

    @property
    def pid(self) -> int | None:
        """Its process id, None before it was started."""
        return None if self._process is None else self._process.pid

    @property
    def exit_status(self) -> int | None:
        """Exit code of the last run (negative: signal), None while it runs."""
        return None if self._process is None else self._process.exit_status

    def start(self, within: float = 60.0) -> None:
        """Start and wait until it says that it is ready. Raises StackError with its last lines when it does not."""
        process = self._process = spawn(self._command, self.log, self._pid_file)
        deadline = time.monotonic() + within
        while not self.ready():
            if not process.alive:
                raise StackError(f"{self._name} ended with {process.exit_status}:\n{tail(self.log)}")
            if time.monotonic() > deadline:
                self.stop()
                raise StackError(f"{self._name} is not ready after {within:.0f} s:\n{tail(self.log)}")
            time.sleep(0.05)

    def ready(self) -> bool:
        """Whether it says that it is ready."""
        try:
            return httpx.get(f"{self.side_url}/ready", timeout=3).is_success
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        """End it at once, without a chance to finish anything."""
        if self._process is not None:
            self._process.stop(grace=10, first=signal.SIGKILL)

    def stop(self, grace: float = 30.0) -> None:
        """Ask it to end (TERM) and wait; kill it after `grace` seconds."""
        if self._process is not None:
            self._process.stop(grace)


@contextmanager
def running(process: str, environment: Mapping[str, str], *, within: float = 60.0) -> Iterator[RunningService]:
    """A process of a service (a name of `services.PROCESSES`, such as "detection-worker"), ready, and ended after use.

    `environment`: all its VIGIA_… settings but its own ports, which are free ones. Raises StackError when it does not
    become ready within so many seconds.
    """
    known = {candidate.name: candidate for candidate in PROCESSES}
    if process not in known:
        raise StackError(f"there is no process {process!r}; the processes are {', '.join(known)}")
    with tempfile.TemporaryDirectory(prefix="vigia-running-") as folder:
        service = RunningService(known[process], environment, Path(folder))
        try:
            service.start(within)
            yield service
        finally:
            service.stop()
