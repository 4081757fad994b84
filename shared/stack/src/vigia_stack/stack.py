"""Stack: some of the parts, started together; what tests and other programs use."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from vigia_stack.errors import StackError
from vigia_stack.keeper import Keeper, Status
from vigia_stack.parts.base import Part, Step
from vigia_stack.plan import build
from vigia_stack.site import Site

P = TypeVar("P", bound=Part | Step)


class Stack:
    """Parts of one stack as a context manager; what they need is started too.

    `Stack(parts=["kafka", "postgres"])` runs on free ports with its state in a temporary folder that is removed at the
    end; with `state` the folder is kept and a later stack finds its data and ports again. `restart`: whether parts that
    die are started again. `settings`: environment variables for Vigia's own processes, beside those that the stack
    sets.
    Raises StackError, with the last log lines, when a part does not become ready.
    """

    def __init__(
        self,
        parts: Sequence[str],
        state: Path | None = None,
        *,
        restart: bool = True,
        well_known_ports: bool = False,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._temporary = state is None
        self.site = Site(
            Path(tempfile.mkdtemp(prefix="vigia-stack-")) if state is None else state,
            well_known_ports=well_known_ports,
        )
        self._jobs = build(self.site, parts, settings)
        self._keeper = Keeper(self._jobs, restart=restart)

    def part(self, kind: type[P], name: str | None = None) -> P:
        """The part of this type (and name). Raises StackError when the stack has none."""
        for job in self._jobs:
            if isinstance(job, kind) and name in (None, job.name):
                return job
        raise StackError(f"this stack has no {name or kind.__name__}")

    def status(self, name: str) -> Status:
        """What is known about a part: state, pid, restarts."""
        return self._keeper.status[name]

    def start(self, within: float = 300.0) -> None:
        """Start everything and wait until all are ready. On failure what was started is stopped again."""
        self._keeper.start()
        try:
            self._keeper.wait(within)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop what runs; a temporary state folder is removed."""
        self._keeper.stop()
        if self._temporary:
            shutil.rmtree(self.site.state, ignore_errors=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
