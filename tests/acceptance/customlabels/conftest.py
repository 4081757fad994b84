"""The journeys through Custom Labels' guide, side by side."""

from __future__ import annotations

import json
import os
import secrets
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance import clients
from tests.acceptance.customlabels import guide, material, samples
from tests.acceptance.customlabels.material import Material
from tests.acceptance.journeys import HURRY, Journeys, bare, profile_only
from vigia_stack.services import ACCOUNT_ID
from vigia_stack.stack import Stack

HERE = Path(__file__).parent
#: A named key of the installation, for models.
KEY = "acceptance"
JOURNEYS = ("cl-newest", "cl-cli", "cl-java", "cl-guide", "cl-readme")


@pytest.fixture(scope="package")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """Discs and squares, labelled as whole images."""
    return material.classes(tmp_path_factory.mktemp("material") / "shapes")


class CustomLabelsJourneys(Journeys):
    """Through Custom Labels' guide."""

    def __init__(self, client_env: Mapping[str, str], s3: Any, shapes: Material, folder: Path) -> None:
        super().__init__(folder)
        self._env = client_env
        self._s3 = s3
        self._shapes = shapes

    def material(self, name: str) -> tuple[Material, str, dict[str, str]]:
        """Discs and squares for everybody."""
        return self._shapes, name, {"key": f"alias/{KEY}", "heading": "Coming from Custom Labels"}

    def command(self, name: str, told: Mapping[str, str], records: Path) -> tuple[list[str], dict[str, str]]:
        """By the client's name."""
        made: tuple[list[str], dict[str, str]] = getattr(self, f"_{name.removeprefix('cl-')}")(told, records)
        return made

    def _python(self, script: str, records: Path) -> list[str]:
        return [sys.executable, str(HERE / script), str(records.with_name("journey.json")), str(records)]

    def _newest(self, told: Mapping[str, str], records: Path) -> tuple[list[str], dict[str, str]]:
        """The newest boto3 with the model that it brings."""
        return self._python("samples.py", records), profile_only(self._env)

    def _readme(self, told: Mapping[str, str], records: Path) -> tuple[list[str], dict[str, str]]:
        """A person's shell, as the README leaves it after its first block."""
        path = f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}"
        return self._python("../readme.py", records), {**bare(), **self._env, "PATH": path}

    def _cli(self, told: Mapping[str, str], records: Path) -> tuple[list[str], dict[str, str]]:
        return self._python("commands.py", records), {**bare(), **self._env}

    def _guide(self, told: Mapping[str, str], records: Path) -> tuple[list[str], dict[str, str]]:
        """What the guide prints, with the newest boto3; only the pauses are shorter."""
        text = guide.guide()
        assert text is not None
        lines = text.read_text().splitlines()
        for sample in guide.SAMPLES:
            records.with_name(f"{sample}.py").write_text(guide.source(lines, sample))
        path = os.pathsep.join([str(HURRY), str(clients.printed_libraries())])
        return self._python("printed.py", records), {**profile_only(self._env), "PYTHONPATH": path}

    def _java(self, told: Mapping[str, str], records: Path) -> tuple[list[str], dict[str, str]]:
        folder, root = Path(told["folder"]), f"s3://{told['bucket']}/{told['project']}/"
        samples.uploaded(self._s3, folder, root)
        changes = records.with_name("changes")
        changes.write_text("\n".join(map(json.dumps, material.changes(root))))
        argv = clients.java_program().argv(
            "CustomLabelsJourney",
            told["project"],
            told["bucket"],
            f"{told['project']}/manifests/train.manifest",
            str(changes),
            str(folder / "test-images" / "disc-2.jpg"),
            str(folder / "test-images" / "square-2.jpg"),
            str(records),
        )
        return argv, profile_only(self._env, "AWS_REGION")


@pytest.fixture(scope="package")
def journeys(
    request: pytest.FixtureRequest,
    stack: Stack,
    client_env: dict[str, str],
    s3: Any,
    shapes: Material,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Journeys]:
    """The journeys; those that the session's tests need are begun at once."""
    (stack.site.keys() / f"{ACCOUNT_ID}.{KEY}").write_text(secrets.token_hex(32))
    going = CustomLabelsJourneys(client_env, s3, shapes, tmp_path_factory.mktemp("journeys"))
    wanted = {mark.args[0] for item in request.session.items for mark in item.iter_markers("journey")}
    for name in JOURNEYS:
        if name in wanted and (name != "cl-guide" or guide.guide()):
            going.begin(name)
    yield going
    going.end()
