"""The compose file is well formed, and every setting in it is one that its service knows."""

from __future__ import annotations

import importlib
import importlib.util
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("registry", "training", "detection", "ingestion", "aggregator")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


def test_it_fits_the_compose_specification(compose: dict[str, Any]) -> None:
    # The schema is read as a file: importing its package is not needed to validate against it.
    found = importlib.util.find_spec("check_jsonschema")
    assert found is not None
    assert found.origin is not None
    schema = json.loads((Path(found.origin).parent / "builtin_schemas/vendor/compose-spec.json").read_text())
    jsonschema.validate(compose, schema)


@pytest.mark.parametrize("service", SERVICES)
def test_every_setting_is_known_to_its_service(
    service: str, compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from vigia_runtime.settings import load

    settings = importlib.import_module(f"vigia_{service}.settings")
    of_service = [s for s in compose["services"].values() if str(s.get("image", "")).startswith(f"vigia/{service}:")]
    assert of_service
    for process in of_service:
        # The aggregator's processes need different things; the others share one set.
        by_command = {"worker": "WorkerSettings", "http": "ServeSettings", "migrate": "MigrateSettings"}
        name = by_command[process["command"][0]] if service == "aggregator" else "Settings"
        with monkeypatch.context() as patch:
            for variable, value in process["environment"].items():
                text = str(value)
                if variable.endswith("_FILE"):
                    secret = tmp_path / variable
                    secret.write_text(
                        "postgresql://vigia:x@postgres:5432/vigia" if "POSTGRES" in variable else "A" * 44
                    )
                    text = str(secret)
                patch.setenv(variable, text.split(":-")[-1].rstrip("}") if text.startswith("${") else text)
            load(getattr(settings, name))


def test_third_party_images_are_pinned_and_ours_are_built(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        image = service["image"]
        assert ":" in image, name
        assert not image.endswith(":latest"), name
        if image.startswith("vigia/"):
            assert (ROOT / service["build"]["dockerfile"]).exists(), name


def test_files_that_are_mounted_exist(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert (ROOT / source).exists(), f"{name}: {source}"
