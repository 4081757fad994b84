"""Names and configurations in Triton, and the gate of golden samples."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigia_registry.hosting.domain import in_namespace, triton_name
from vigia_registry.hosting.parity import mismatch
from vigia_registry.hosting.settings import ServingSettings
from vigia_registry.hosting.triton_config import model_config, model_files
from vigia_vision import Artifact, Manifest


@pytest.fixture
def artifact(make_artifact):  # type: ignore[no-untyped-def]
    return make_artifact()


def test_the_configuration_is_complete(artifact: Artifact) -> None:
    settings = ServingSettings(queue_delay_seconds=0.002, queue_size=7, queue_timeout_seconds=1.5, threads=3)
    config = json.loads(model_config("m", artifact.manifest, 2, settings, 7))
    assert (config["name"], config["backend"], config["max_batch_size"]) == ("m", "onnxruntime", 8)
    assert config["input"] == [{"name": "image", "data_type": "TYPE_UINT8", "dims": ["8", "8", "3"]}]
    assert config["output"] == [{"name": "score", "data_type": "TYPE_FP32", "dims": ["1"]}]
    assert config["instance_group"][0]["count"] == 2
    assert config["dynamic_batching"]["max_queue_delay_microseconds"] == "2000"
    policy = config["dynamic_batching"]["default_queue_policy"]
    # The queue is as long as its units are many, so that a full one takes the same time to get through.
    assert (policy["max_queue_size"], policy["default_timeout_microseconds"]) == (14, "1500000")
    assert config["instance_group"][0].pop("rate_limiter") == {"priority": 7}
    assert "rate_limiter" not in json.loads(model_config("m", artifact.manifest, 2, settings))["instance_group"][0]
    assert config["parameters"]["intra_op_thread_count"] == {"string_value": "3"}
    samples = {sample.file: sample for sample in artifact.golden_samples()}
    files = model_files(artifact, samples)
    warmup = config["model_warmup"][0]["inputs"]["image"]
    assert len(files[f"file:warmup/{warmup['input_data_file']}"]) == np.prod([int(size) for size in warmup["dims"]])
    assert files["file:1/model.onnx"] == artifact.model


@given(project=st.text(max_size=300), version=st.integers(1, 10**6), digest=st.text("0123456789abcdef", min_size=64))
def test_names_are_safe_and_say_what_they_are(project: str, version: int, digest: str) -> None:
    name = triton_name("vigia", project, version, "arn:one", digest)
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.")
    assert len(name) <= 200
    assert in_namespace("vigia", name)
    assert not in_namespace("vig", name)
    assert f".v{version}.{digest[:16]}." in name
    assert name != triton_name("vigia", project, version, "arn:two", digest)


@pytest.mark.parametrize(
    ("score", "wrong"),
    [
        ([0.2], None),
        ([0.20005], None),
        ([0.2002], "differs by"),
        ([float("nan")], "not finite"),
        ([0.2, 0.2], "another shape"),
    ],
)
def test_golden_answers(artifact: Artifact, score: list[float], wrong: str | None) -> None:
    sample = next(artifact.golden_samples())
    found = mismatch(sample, {"score": np.array(score, np.float32)}, artifact.manifest, 1e-4)
    assert found is None if wrong is None else wrong in str(found)


def test_a_verdict_that_flips_within_the_tolerance_is_wrong(make_artifact) -> None:  # type: ignore[no-untyped-def]
    artifact = make_artifact(answer=0.49999)
    sample = next(artifact.golden_samples())
    assert mismatch(sample, {"score": np.array([0.49998], np.float32)}, artifact.manifest, 1e-4) is None
    assert "verdict" in str(mismatch(sample, {"score": np.array([0.50001], np.float32)}, artifact.manifest, 1e-4))


def test_numbers_alone_count_where_a_model_gives_labels(artifact: Artifact) -> None:
    sample = next(artifact.golden_samples())
    draft = artifact.manifest.model_dump() | {
        "kind": "classification",
        "labels": [{"name": name, "color": "#23A436"} for name in ("nut", "bolt")],
        "outputs": [{"name": "score", "shape": (-1, 1)}, {"name": "confidences", "shape": (-1, 2)}],
        "threshold": {"value": 0.2},
        "decision": {"label_thresholds": (0.2, 0.5)},
    }
    manifest = Manifest.model_validate(draft)
    assert mismatch(sample, {"score": np.array([0.19999], np.float32)}, manifest, 1e-4) is None
    assert "differs by" in str(mismatch(sample, {"score": np.array([0.21], np.float32)}, manifest, 1e-4))
