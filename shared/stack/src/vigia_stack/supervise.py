"""The process that keeps a stack: `python -m vigia_stack.supervise STATE [PART…]`.

It starts the parts, starts again those that die, and writes what it knows to `STATE/status.json`. On TERM it stops them
all and ends. Killed itself, it leaves the parts running; the next one adopts them.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import signal
import threading
from dataclasses import asdict
from pathlib import Path

from vigia_stack.keeper import Keeper, Status
from vigia_stack.parts.base import Part
from vigia_stack.plan import build
from vigia_stack.process import adopt
from vigia_stack.site import Site

PID_FILE = "supervisor"
_LOG_CHECK_SECONDS = 30.0
_LARGEST_LOG = 32 * 1024 * 1024


class StatusFile:
    """The state of all parts as JSON, replaced as a whole at every change."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._parts: dict[str, object] = {}

    def update(self, name: str, status: Status) -> None:
        """Write a part's status down."""
        with self._lock:
            self._parts[name] = asdict(status)
            temporary = self._file.with_suffix(".tmp")
            temporary.write_text(json.dumps({"supervisor": os.getpid(), "parts": self._parts}, indent=1))
            temporary.replace(self._file)


def status_file(site: Site) -> Path:
    """Where the supervisor of a site writes what it knows."""
    return site.state / "status.json"


def trim(log: Path, largest: int = _LARGEST_LOG) -> None:
    """Put a log that has grown past ``largest`` bytes aside as ``<name>.1``, in place of the one before.

    Copied and emptied, not renamed: its writer holds the file open, and appends.
    """
    if log.stat().st_size > largest:
        shutil.copyfile(log, log.with_suffix(".log.1"))
        os.truncate(log, 0)


def main() -> None:
    """Run until TERM or INT."""
    parser = argparse.ArgumentParser(prog="python -m vigia_stack.supervise", description="Keeps the parts of a stack.")
    parser.add_argument("state", type=Path)
    parser.add_argument("parts", nargs="+")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # asking a broker that starts is no error
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    site = Site(arguments.state, well_known_ports=True)
    jobs = build(site, arguments.parts)
    idle = [job for job in jobs if isinstance(job, Part) and adopt(site.pid_file(job.name)) is None]
    site.ports.release_taken({port for job in idle for port in job.ports})
    status = StatusFile(status_file(site))
    keeper = Keeper(jobs, restart=True, on_change=status.update)
    for name in keeper.status:
        status.update(name, keeper.status[name])
    keeper.start()
    while not stop.wait(_LOG_CHECK_SECONDS):
        for log in site.log(PID_FILE).parent.glob("*.log"):
            trim(log)
    keeper.stop()


if __name__ == "__main__":
    main()
