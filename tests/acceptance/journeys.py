"""Programs that go through a guide's samples with some client, each leaving a line of what every sample saw."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from vigia_stack.services import USER_BUCKET

#: Shorter pauses for samples that run as they are printed: a folder for PYTHONPATH.
HURRY = Path(__file__).parent / "hurry"

Seen = Callable[[str], Any]


class Material(Protocol):
    """Images to train on."""

    @property
    def folder(self) -> Path: ...


def profile_only(client_env: Mapping[str, str], *more: str) -> dict[str, str]:
    """An environment in which only the files of profiles name Vigia, and ``more`` variables of ``client.env``."""
    names = ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", *more)
    return {**bare(), **{name: client_env[name] for name in names}}


def bare() -> dict[str, str]:
    """This environment without anything about AWS, Vigia or Python."""
    kept = {"AWS_CA_BUNDLE"}
    return {k: v for k, v in os.environ.items() if k in kept or not k.startswith(("AWS_", "VIGIA_", "PYTHON"))}


@dataclass
class Journey:
    """A program that goes through the samples of one client, and what each saw."""

    name: str
    material: Any
    process: subprocess.Popen[bytes]
    records: Path
    output: Path
    _seen: dict[str, Any] = field(default_factory=dict)

    def seen(self, sample: str) -> Any:
        """What a sample saw, when the journey is over; AssertionError with the trace where it did not get there."""
        self.process.wait(550)
        if not self._seen:
            lines = self.records.read_text().splitlines() if self.records.exists() else []
            self._seen = {line["id"]: line["seen"] for line in map(json.loads, lines)}
        if sample not in self._seen:
            trace = self._seen.get("failed", "") or self.output.read_text(errors="replace")[-3000:]
            raise AssertionError(f"the journey with {self.name} did not get through {sample}:\n{trace}")
        return self._seen[sample]


class Journeys(ABC):
    """All journeys that the chosen tests ask for, started together: most of the time they wait for a training."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._begun: dict[str, Journey] = {}

    def begin(self, name: str) -> Journey:
        """The journey of this client, begun unless it was."""
        if name not in self._begun:
            self._begun[name] = self._start(name)
        return self._begun[name]

    def _start(self, name: str) -> Journey:
        scratch = self._folder / name
        scratch.mkdir()
        chosen, project, more = self.material(name)
        told = {
            "project": f"{project}-{uuid.uuid4().hex[:6]}",
            "bucket": USER_BUCKET,
            "folder": str(chosen.folder),
            "scratch": str(scratch),
            **more,
        }
        (scratch / "journey.json").write_text(json.dumps(told))
        records = scratch / "records.jsonl"
        argv, env = self.command(name, told, records)
        with (scratch / "output").open("wb") as out:
            process = subprocess.Popen(argv, env=env, cwd=scratch, stdout=out, stderr=out, start_new_session=True)
        return Journey(name, chosen, process, records, scratch / "output")

    @abstractmethod
    def material(self, name: str) -> tuple[Material, str, dict[str, str]]:
        """What a journey trains on, how its project's name begins, and what else it is told."""

    @abstractmethod
    def command(self, name: str, told: Mapping[str, str], records: Path) -> tuple[list[str], dict[str, str]]:
        """Command line and environment of a journey."""

    def end(self) -> None:
        """Ends what still goes on, with what the programs started: a shell would ask for a status for ever."""
        for journey in self._begun.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(journey.process.pid, signal.SIGTERM)
            journey.process.wait(30)
