"""The walls stand: who imports whom, where torch is, what must not be written down."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.architecture import rules

ROOT = rules.ROOT


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def test_imports_keep_to_their_walls() -> None:
    found = list(rules.sources())
    assert len(found) > 50
    assert [p for path in found for p in rules.import_problems(path, path.read_text())] == []


@pytest.mark.parametrize(
    ("place", "source", "message"),
    [
        ("services/detection/src/vigia_detection/app/x.py", "import vigia_registry.db", "detection imports"),
        ("services/detection/src/vigia_detection/app/x.py", "def f():\n    import torch", "torch outside training"),
        ("shared/vision/src/vigia_vision/x.py", "from vigia_runtime import kafka", "vision imports"),
        ("services/registry/src/vigia_registry/models/domain.py", "import asyncio", "does I/O"),
    ],
)
def test_a_broken_wall_is_seen(place: str, source: str, message: str) -> None:
    assert any(message in problem for problem in rules.import_problems(ROOT / place, source))


def test_torch_is_in_training_alone() -> None:
    assert "torch" in rules.closure("training")
    for name in (*rules.SERVICES, *rules.SHARED):
        if name != "training":
            assert not rules.closure(name) & rules.HEAVY, name


@pytest.mark.parametrize("member", [*rules.SERVICES, *rules.SHARED])
def test_members_declare_what_they_import(member: str) -> None:
    assert rules.undeclared(member) == []


def test_an_undeclared_import_is_seen(tmp_path: Path) -> None:
    folder = tmp_path / "services" / "detection"
    (folder / "src" / "vigia_detection").mkdir(parents=True)
    (folder / "pyproject.toml").write_text('[project]\nname = "vigia-detection"\ndependencies = ["fastapi"]\n')
    (folder / "src" / "vigia_detection" / "x.py").write_text("import fastapi\nimport typer\nimport json\n")
    assert [problem.partition(": ")[2] for problem in rules.undeclared("detection", tmp_path)] == ["typer of typer"]


def test_tools_are_configured_once() -> None:
    members = [*ROOT.glob("services/*/pyproject.toml"), *ROOT.glob("shared/*/pyproject.toml")]
    assert len(members) == len(rules.SERVICES) + len(rules.SHARED)
    assert [problem for path in members for problem in rules.member_config_problems(path)] == []


def test_nothing_tracked_names_a_machine_or_a_registry() -> None:
    problems = []
    for path in tracked():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        problems += rules.text_problems(str(path.relative_to(ROOT)), text)
    assert problems == []


def test_written_addresses_are_seen() -> None:
    bad = 'url = "https://registry.npm' + 'js.org/x"\npath = "/ro' + 'ot/x"'
    assert len(rules.text_problems("x", bad)) == 2


@pytest.mark.parametrize("folder", [ROOT, *(ROOT / "services" / name for name in rules.SERVICES)], ids=lambda p: p.name)
def test_locks_are_hashed_exports(folder: Path) -> None:
    lock = (folder / "requirements.lock").read_text()
    assert "--hash=sha256:" in lock
    assert "://" not in lock
    assert ROOT / "uv.lock" not in tracked()


def test_onnxruntime_is_told_to_send_nothing() -> None:
    """Whoever loads it says so first; the two images that hold it say so too."""
    told = "ORT_DISABLE_TELEMETRY"
    for path in tracked():
        if path.suffix == ".py" and "tests" not in path.parts:
            text = path.read_text()
            loaded = re.search(r"^(import|from) onnxruntime", text, re.MULTILINE)
            assert loaded is None or 0 < text.find(told) < loaded.start(), path
    for name in ("deploy/docker/service.Dockerfile", "docker-compose.yml", "helm/vigia/templates/triton.yaml"):
        assert told in (ROOT / name).read_text(), name
