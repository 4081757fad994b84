"""The chart renders for every kind of plant, and what it renders is what a cluster takes."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from vigia_aggregator import settings as aggregator
from vigia_contracts.topics import TOPICS
from vigia_detection.settings import Settings as Detection
from vigia_ingestion.settings import Settings as Ingestion
from vigia_registry.settings import Settings as Registry
from vigia_runtime.settings import ServiceSettings, load
from vigia_training.settings import Settings as Training

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "vigia"
KUBERNETES = "1.34"
VALUES = sorted((CHART / "ci").glob("*-values.yaml"))
#: The settings that each command of a service loads.
SETTINGS: dict[str, dict[str, type[ServiceSettings]]] = {
    "registry": dict.fromkeys(("prepare", "migrate", "http", "worker", "hosting"), Registry),
    "detection": dict.fromkeys(("worker", "http"), Detection),
    "ingestion": {"worker": Ingestion},
    "training": {"worker": Training},
    "aggregator": {
        "migrate": aggregator.MigrateSettings,
        "worker": aggregator.WorkerSettings,
        "http": aggregator.ServeSettings,
    },
}
#: What the names of settings that hold a secret have in them.
SECRET_WORDS = ("SECRET", "TOKEN", "ACCESS_KEY", "SEALING_KEY", "POSTGRES__URL")
WORKLOADS = {"Deployment", "StatefulSet", "Job"}


def helm() -> str:
    cache = Path(os.environ.get("VIGIA_CACHE", Path.home() / ".cache" / "vigia"))
    found = shutil.which("helm", path=os.pathsep.join([str(cache / "bin"), os.environ["PATH"]]))
    if found is None:
        pytest.skip("helm is not installed: make chart installs it")
    return found


def render(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [helm(), "template", "plant", str(CHART), "--kube-version", f"{KUBERNETES}.0", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module", params=VALUES, ids=lambda path: path.stem)
def rendered(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    result = render("-f", str(request.param))
    assert result.returncode == 0, result.stderr
    return [document for document in yaml.safe_load_all(result.stdout) if document]


def pods(documents: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{d['kind']}/{d['metadata']['name']}", d["spec"]["template"]["spec"])
        for d in documents
        if d["kind"] in WORKLOADS
    ]


def test_every_document_fits_kubernetes(rendered: list[dict[str, Any]]) -> None:
    assert len(rendered) > 20
    for document in rendered:
        if document["kind"] != "PodMonitor":  # a kind of the Prometheus operator
            kubernetes_validate.validate(document, KUBERNETES, strict=True)


def test_pods_are_locked_down_and_bounded(rendered: list[dict[str, Any]]) -> None:
    found = pods(rendered)
    assert len(found) >= 12
    for name, pod in found:
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert "memory" in container["resources"]["limits"], name
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), name
        for volume in pod.get("volumes", []):
            assert "emptyDir" not in volume or volume["emptyDir"]["sizeLimit"], name


def test_processes_that_stay_have_all_three_probes(rendered: list[dict[str, Any]]) -> None:
    for name, pod in pods(rendered):
        for container in pod["containers"]:
            probes = {key for key in container if key.endswith("Probe")}
            expected = set() if name.startswith("Job/") else {"startupProbe", "livenessProbe", "readinessProbe"}
            assert probes == expected, name
            assert all("httpGet" in container[probe] for probe in probes), name


def test_secrets_come_by_reference_only(rendered: list[dict[str, Any]]) -> None:
    assert not [d for d in rendered if d["kind"] == "Secret"]
    for name, pod in pods(rendered):
        for container in pod["containers"]:
            for variable in container.get("env", []):
                secret = any(
                    word in variable["name"]
                    for word in ("SECRET", "TOKEN", "ACCESS_KEY", "SEALING_KEY", "POSTGRES__URL")
                )
                assert secret == ("valueFrom" in variable), f"{name} {variable['name']}"


def test_selectors_find_their_pods(rendered: list[dict[str, Any]]) -> None:
    labels = [d["spec"]["template"]["metadata"]["labels"] for d in rendered if d["kind"] in WORKLOADS]
    for document in rendered:
        if document["kind"] == "Service":
            selector = document["spec"]["selector"]
        elif document["kind"] in {"NetworkPolicy"}:
            selector = document["spec"]["podSelector"]["matchLabels"]
        elif document["kind"] == "PodDisruptionBudget":
            selector = document["spec"]["selector"]["matchLabels"]
        else:
            continue
        assert [x for x in labels if selector.items() <= x.items()], document["metadata"]["name"]


def test_no_more_frame_readers_than_partitions(rendered: list[dict[str, Any]]) -> None:
    replicas = {d["metadata"]["name"]: d["spec"]["replicas"] for d in rendered if d["kind"] == "Deployment"}
    assert replicas["plant-detection-worker"] <= TOPICS["frames"].partitions
    assert replicas["plant-ingestion"] <= TOPICS["cameras"].partitions


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "kafka"),
        (("--set", "kafka.bootstrp=x:1"), "bootstrp"),
        (("--set", "components.detection-worker.replicas=many"), "replicas"),
        (("--set", "components.detection-worker.replicas=7"), "replicas"),
        (("--set", "objects.endpoint=objects"), "endpoint"),
        (("--set", "account=42"), "account"),
    ],
)
def test_wrong_values_are_refused_by_name(arguments: tuple[str, ...], message: str) -> None:
    files = ("-f", str(VALUES[-1])) if arguments else ()
    result = render(*files, *arguments)
    assert result.returncode != 0
    assert message in result.stderr


def test_every_setting_is_known_to_its_service(rendered: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    checked = set()
    for _, pod in pods(rendered):
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            service = container["image"].rpartition("/")[2].partition(":")[0]
            if service not in SETTINGS:
                continue
            with monkeypatch.context() as patch:
                for variable in container["env"]:
                    secret = "postgresql://u:p@h/vigia" if "POSTGRES" in variable["name"] else "A" * 44
                    patch.setenv(variable["name"], variable.get("value", secret))
                load(SETTINGS[service][container["args"][0]])
            checked.add((service, container["args"][0]))
    assert {service for service, _ in checked} == set(SETTINGS)
