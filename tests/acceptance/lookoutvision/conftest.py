"""One running product with a training that takes seconds, and the journeys through it, side by side."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.lookoutvision import clients, guide, material, samples
from tests.acceptance.lookoutvision.material import Material
from tests.line import PARTS
from vigia_stack import client
from vigia_stack.parts.objects import ObjectsPart
from vigia_stack.services import USER_BUCKET
from vigia_stack.stack import Stack

HERE = Path(__file__).parent
#: A training small enough for a test that still learns the cookies' cracks.
SMALL_TRAINING = {
    "VIGIA_TRAINING_LEARNING__IMAGES": "64",
    "VIGIA_TRAINING_LEARNING__ITERATIONS": "40",
    "VIGIA_TRAINING_LEARNING__FOLD_ITERATIONS": "20",
}
#: What no call of the API needs: cameras, their history, dashboards.
WITHOUT = {"ingestion", "detection-worker", "aggregator-worker", "aggregator-http", "prometheus"}
JOURNEYS = ("newest", "readme", "withdrawn", "cli", "java", "guide")
PYTHON_CLIENTS = ("newest", "withdrawn")
Seen = Callable[[str], Any]


@pytest.fixture(scope="package")
def stack(stack_state: Path) -> Iterator[Stack]:
    """The product, with training."""
    parts = [part for part in (*PARTS, "training") if part not in WITHOUT]
    with Stack(parts, stack_state / "acceptance", settings=SMALL_TRAINING) as running:
        yield running


@pytest.fixture(scope="package")
def client_env(stack: Stack) -> dict[str, str]:
    """What ``client.env`` says."""
    lines = client.write(stack.site).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


@pytest.fixture(scope="package")
def s3(stack: Stack) -> Any:
    """A boto3 client of the object store."""
    return stack.part(ObjectsPart).store.client()


def profile_only(client_env: Mapping[str, str], *more: str) -> dict[str, str]:
    """An environment in which only the files of profiles name Vigia, and ``more`` variables of ``client.env``."""
    names = ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", *more)
    return {**bare(), **{name: client_env[name] for name in names}}


def bare() -> dict[str, str]:
    """This environment without anything about AWS, Vigia or Python."""
    kept = {"AWS_CA_BUNDLE"}
    return {k: v for k, v in os.environ.items() if k in kept or not k.startswith(("AWS_", "VIGIA_", "PYTHON"))}


@pytest.fixture(scope="package")
def plates(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """The small set, which trains in seconds."""
    return material.plates(tmp_path_factory.mktemp("material") / "plates")


@dataclass
class Journey:
    """A program that goes through the samples of one client, and what each saw."""

    name: str
    material: Material
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


class Journeys:
    """All journeys that the chosen tests ask for, started together: most of the time they wait for a training."""

    def __init__(self, client_env: Mapping[str, str], s3: Any, plates: Material, folder: Path) -> None:
        self._env = client_env
        self._s3 = s3
        self._plates = plates
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
        # The guide's own photographs with the newest client; the others learn faster.
        chosen = material.COOKIES if name == "newest" else self._plates
        told = {
            "project": f"{'getting-started' if name == 'newest' else name}-{uuid.uuid4().hex[:6]}",
            "bucket": USER_BUCKET,
            "folder": str(chosen.folder),
            "scratch": str(scratch),
            "label": chosen.label,
        }
        (scratch / "journey.json").write_text(json.dumps(told))
        records = scratch / "records.jsonl"
        argv, env = getattr(self, f"_{name}")(told, records)
        with (scratch / "output").open("wb") as out:
            process = subprocess.Popen(argv, env=env, cwd=scratch, stdout=out, stderr=out)
        return Journey(name, chosen, process, records, scratch / "output")

    def _python(self, script: str, records: Path) -> list[str]:
        return [sys.executable, str(HERE / script), str(records.with_name("journey.json")), str(records)]

    def _newest(self, told: Mapping[str, str], records: Path) -> tuple[list[str], dict[str, str]]:
        """The newest boto3 with the model that we ship."""
        return self._python("samples.py", records), profile_only(self._env, "AWS_DATA_PATH")

    def _withdrawn(self, told: Mapping[str, str], records: Path) -> tuple[list[str], dict[str, str]]:
        """The last boto3 that knew the service, with the model that it brings."""
        env = {**profile_only(self._env), "PYTHONPATH": str(clients.withdrawn_boto3())}
        return self._python("samples.py", records), env

    def _cli(self, told: Mapping[str, str], records: Path) -> tuple[list[str], dict[str, str]]:
        return self._python("commands.py", records), {**bare(), **self._env}

    def _readme(self, told: Mapping[str, str], records: Path) -> tuple[list[str], dict[str, str]]:
        """A person's shell, as the README leaves it after its first block."""
        path = f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}"
        return self._python("readme.py", records), {**bare(), **self._env, "PATH": path}

    def _guide(self, told: Mapping[str, str], records: Path) -> tuple[list[str], dict[str, str]]:
        """What the guide prints, with the boto3 of its time; only the pauses are shorter."""
        text = guide.guide()
        assert text is not None
        lines = text.read_text().splitlines()
        for sample in guide.SAMPLES:
            records.with_name(f"{sample}.py").write_text(guide.source(lines, sample))
        path = os.pathsep.join([str(clients.withdrawn_boto3()), str(HERE / "hurry")])
        return self._python("printed.py", records), {**profile_only(self._env), "PYTHONPATH": path}

    def _java(self, told: Mapping[str, str], records: Path) -> tuple[list[str], dict[str, str]]:
        env = profile_only(self._env, "AWS_REGION")
        folder, photographs = Path(told["folder"]), Path(told["folder"]) / "test-images"
        root = f"s3://{told['bucket']}/{told['project']}/"
        samples.sh_01_getting_started(self._s3, folder, root)
        changes = records.with_name("changes")
        changes.write_text("\n".join(map(json.dumps, samples.changes(self._s3, folder, root))))
        argv = clients.java_program().argv(
            told["project"],
            told["bucket"],
            f"{told['project']}/manifests/train.manifest",
            str(changes),
            str(photographs / "test-anomaly-1.jpg"),
            str(photographs / "test-normal-1.jpg"),
            told["label"],
            str(records),
        )
        return argv, env

    def end(self) -> None:
        """Ends what still goes on."""
        for journey in self._begun.values():
            if journey.process.poll() is None:
                journey.process.terminate()
                journey.process.wait(30)


@pytest.fixture(scope="package")
def journeys(
    request: pytest.FixtureRequest,
    client_env: dict[str, str],
    s3: Any,
    plates: Material,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Journeys]:
    """The journeys; those that the session's tests need are begun at once."""
    going = Journeys(client_env, s3, plates, tmp_path_factory.mktemp("journeys"))
    wanted = {mark.args[0] for item in request.session.items for mark in item.iter_markers("journey")}
    for name in JOURNEYS:
        if name in wanted and (name != "guide" or guide.guide()):
            going.begin(name)
    yield going
    going.end()


@pytest.fixture
def journey(request: pytest.FixtureRequest, journeys: Journeys) -> Journey:
    """The journey that the test's marker names."""
    marker = request.node.get_closest_marker("journey")
    assert marker is not None
    return journeys.begin(marker.args[0])


@pytest.fixture
def seen(journey: Journey) -> Seen:
    """What a sample saw."""
    return journey.seen
