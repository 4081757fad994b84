"""The journeys through Lookout for Vision's guide, side by side."""

from __future__ import annotations

import json
import os
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance import clients
from tests.acceptance.journeys import HURRY, Journeys, bare, profile_only
from tests.acceptance.lookoutvision import guide, material, samples
from tests.acceptance.lookoutvision.material import Material

HERE = Path(__file__).parent
JOURNEYS = ("newest", "readme", "withdrawn", "cli", "java", "guide")
PYTHON_CLIENTS = ("newest", "withdrawn")


@pytest.fixture(scope="package")
def plates(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """The small set, which trains in seconds."""
    return material.plates(tmp_path_factory.mktemp("material") / "plates")


class LookoutJourneys(Journeys):
    """Through Lookout for Vision's guide."""

    def __init__(self, client_env: Mapping[str, str], s3: Any, plates: Material, folder: Path) -> None:
        super().__init__(folder)
        self._env = client_env
        self._s3 = s3
        self._plates = plates

    def material(self, name: str) -> tuple[Material, str, dict[str, str]]:
        """The guide's own photographs with the newest client; the others learn faster."""
        chosen = material.COOKIES if name == "newest" else self._plates
        return (
            chosen,
            "getting-started" if name == "newest" else name,
            {"label": chosen.label, "heading": "Coming from Lookout for Vision"},
        )

    def command(self, name: str, told: Mapping[str, str], records: Path) -> tuple[list[str], dict[str, str]]:
        """By the client's name."""
        made: tuple[list[str], dict[str, str]] = getattr(self, f"_{name}")(told, records)
        return made

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
        return self._python("../readme.py", records), {**bare(), **self._env, "PATH": path}

    def _guide(self, told: Mapping[str, str], records: Path) -> tuple[list[str], dict[str, str]]:
        """What the guide prints, with the boto3 of its time; only the pauses are shorter."""
        text = guide.guide()
        assert text is not None
        lines = text.read_text().splitlines()
        for sample in guide.SAMPLES:
            records.with_name(f"{sample}.py").write_text(guide.source(lines, sample))
        path = os.pathsep.join([str(clients.withdrawn_boto3()), str(HURRY)])
        return self._python("printed.py", records), {**profile_only(self._env), "PYTHONPATH": path}

    def _java(self, told: Mapping[str, str], records: Path) -> tuple[list[str], dict[str, str]]:
        env = profile_only(self._env, "AWS_REGION")
        folder, photographs = Path(told["folder"]), Path(told["folder"]) / "test-images"
        root = f"s3://{told['bucket']}/{told['project']}/"
        samples.sh_01_getting_started(self._s3, folder, root)
        changes = records.with_name("changes")
        changes.write_text("\n".join(map(json.dumps, samples.changes(self._s3, folder, root))))
        argv = clients.java_program().argv(
            "Journey",
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


@pytest.fixture(scope="package")
def journeys(
    request: pytest.FixtureRequest,
    client_env: dict[str, str],
    s3: Any,
    plates: Material,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Journeys]:
    """The journeys; those that the session's tests need are begun at once."""
    going = LookoutJourneys(client_env, s3, plates, tmp_path_factory.mktemp("journeys"))
    wanted = {mark.args[0] for item in request.session.items for mark in item.iter_markers("journey")}
    for name in JOURNEYS:
        if name in wanted and (name != "guide" or guide.guide()):
            going.begin(name)
    yield going
    going.end()
