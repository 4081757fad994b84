"""One process of a part: started in a session of its own, known by pid and start time, stopped with all its children.

A pid alone says nothing after a reboot or a wrap-around, so a pid file holds the start time too and a process whose
start time differs is never signalled.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_STATE, _PROCESS_GROUP, _START_TIME = 0, 2, 19  # positions in /proc/<pid>/stat after the command name


@dataclass(frozen=True)
class Identity:
    """A process that can be told from a later one with the same pid. `started` is in clock ticks since boot."""

    pid: int
    started: int

    @property
    def alive(self) -> bool:
        """Whether this very process still runs (a zombie does not)."""
        fields = _stat(self.pid)
        return fields is not None and int(fields[_START_TIME]) == self.started and fields[_STATE] not in ("Z", "X")

    def signal(self, number: int) -> None:
        """Send a signal if the process is still this one."""
        if self.alive:
            _quietly_kill(self.pid, number)


def identity(pid: int) -> Identity | None:
    """The running process with this pid, or None."""
    fields = _stat(pid)
    return None if fields is None else Identity(pid, int(fields[_START_TIME]))


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()  # the command name may hold spaces and brackets


def _group(leader: int) -> list[Identity]:
    members = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields is not None and int(fields[_PROCESS_GROUP]) == leader:
                members.append(Identity(int(entry.name), int(fields[_START_TIME])))
    return members


def _end_orphans(leader: int) -> None:
    """Kill the group of a dead leader. While a member lives the kernel gives the number to nobody else; so a group
    whose leader is alive is another one, and is left alone."""
    members = _group(leader)
    if not any(member.pid == leader and member.alive for member in members):
        for member in members:
            member.signal(signal.SIGKILL)


def _quietly_kill(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it may end between the look and the signal
        os.kill(pid, number)


@dataclass(frozen=True)
class Command:
    """How a process is started. `env` is the whole environment, not an addition."""

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path | None = None


class Process:
    """A started (or adopted) process. Make one with `spawn` or `adopt`."""

    def __init__(self, who: Identity, pid_file: Path, child: subprocess.Popen[bytes] | None) -> None:
        self.identity = who
        self._pid_file = pid_file
        self._child = child

    @property
    def pid(self) -> int:
        return self.identity.pid

    @property
    def alive(self) -> bool:
        """Whether it runs; reaps it when it was our child and has ended."""
        if self._child is not None:
            return self._child.poll() is None
        return self.identity.alive

    @property
    def exit_status(self) -> int | None:
        """Exit code (negative: signal), None while running or when it was not started by us."""
        return None if self._child is None else self._child.poll()

    def stop(self, grace: float, first: int = signal.SIGTERM) -> None:
        """Ask with `first`, then KILL what is left of its process group after `grace` seconds."""
        group = _group(self.pid)
        self.identity.signal(first)
        deadline = time.monotonic() + grace
        while self.alive and time.monotonic() < deadline:
            time.sleep(0.05)
        for member in {*group, *(_group(self.pid) if self.alive else ())}:
            member.signal(signal.SIGKILL)
        while self.alive:
            time.sleep(0.02)
        self._pid_file.unlink(missing_ok=True)

    def clear(self) -> None:
        """After its death: end the children it left behind."""
        _end_orphans(self.pid)
        self._pid_file.unlink(missing_ok=True)


def spawn(command: Command, log: Path, pid_file: Path) -> Process:
    """Start a command in its own session with stdout and stderr appended to `log`.

    Raises OSError when the program cannot be run.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    pid_file.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        child = subprocess.Popen(
            list(command.argv),
            env=dict(command.env),
            cwd=command.cwd,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    who = identity(child.pid) or Identity(child.pid, 0)
    temporary = pid_file.with_suffix(".tmp")
    temporary.write_text(json.dumps({"pid": who.pid, "started": who.started}))
    temporary.replace(pid_file)
    return Process(who, pid_file, child)


def adopt(pid_file: Path) -> Process | None:
    """The process named by a pid file if that very process still runs; otherwise the file is removed."""
    try:
        data = json.loads(pid_file.read_text())
        who = Identity(int(data["pid"]), int(data["started"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        pid_file.unlink(missing_ok=True)
        return None
    if not who.alive:
        _end_orphans(who.pid)
        pid_file.unlink(missing_ok=True)
        return None
    return Process(who, pid_file, None)
