"""What a part of the stack is."""

from __future__ import annotations

import os
import signal
from abc import ABC, abstractmethod
from typing import ClassVar

from vigia_stack.process import Command
from vigia_stack.site import Site


class Part(ABC):
    """A long-running process. Subclasses say how it is prepared, started and asked whether it is ready."""

    stop_signal: ClassVar[int] = signal.SIGTERM
    grace: ClassVar[float] = 25.0  # seconds between the stop signal and KILL
    ready_within: ClassVar[float] = 90.0  # seconds from start to ready, generous: machines are busy

    def __init__(self, site: Site, name: str, needs: tuple[str, ...] = (), ports: tuple[str, ...] = ()) -> None:
        self.site = site
        self.name = name
        self.needs = needs
        self.ports = ports

    def port(self, name: str) -> int:
        return self.site.ports.get(name)

    def prepare(self) -> None:  # noqa: B027 - some parts have nothing to prepare
        """Make data and configuration; called before every start, so it must not harm what is there."""

    @abstractmethod
    def command(self) -> Command:
        """What to run."""

    @abstractmethod
    def check(self) -> None:
        """Do something real with the part. Raises NotReady while it does not answer."""

    @abstractmethod
    def address(self) -> str:
        """Where people reach it, for the status table."""


class Step(ABC):
    """Something done once per start, after the parts it needs are ready (create topics, migrate, …). Idempotent."""

    def __init__(self, site: Site, name: str, needs: tuple[str, ...]) -> None:
        self.site = site
        self.name = name
        self.needs = needs

    @abstractmethod
    def run(self) -> None:
        """Do it. Raises StackError with a useful message when it cannot be done."""


def plain_environment() -> dict[str, str]:
    """The environment for a third-party program: ours without Vigia's, AWS's and Python's settings."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("VIGIA_", "AWS_", "PYTHON", "MALLOC_"))}
