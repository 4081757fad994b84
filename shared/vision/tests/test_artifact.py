"""An artifact is what its manifest says, or it is not loaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from vigia_vision import Artifact, ArtifactError, Manifest, Session, write_artifact
from vigia_vision.artifact import MANIFEST_FILE, MODEL_FILE


def test_a_folder_comes_back_as_it_was_written(artifact: Artifact, tmp_path: Path) -> None:
    write_artifact(artifact, tmp_path)
    again = Artifact.load(tmp_path)
    assert again.all_files() == artifact.all_files()
    assert again.folder == artifact.digest[:16]
    assert list(artifact.all_files())[-1] == MANIFEST_FILE


@given(st.data())
def test_any_changed_byte_is_noticed(artifact: Artifact, data: st.DataObject) -> None:
    files = artifact.all_files()
    name = data.draw(st.sampled_from(sorted(artifact.files)))
    content = bytearray(files[name])
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ArtifactError, match="is not the file"):
        Artifact.load({**files, name: bytes(content)})


def test_a_missing_or_added_file_is_noticed(artifact: Artifact) -> None:
    files = artifact.all_files()
    for name in files:
        with pytest.raises(ArtifactError):
            Artifact.load({n: c for n, c in files.items() if n != name})
    with pytest.raises(ArtifactError, match="extra"):
        Artifact.load({**files, "extra": b""})


def test_a_changed_manifest_is_another_artifact(artifact: Artifact) -> None:
    body = artifact.manifest_bytes.replace(b'"value": 0.4', b'"value": 0.3')
    assert body != artifact.manifest_bytes
    assert Artifact.load({**artifact.all_files(), MANIFEST_FILE: body}).folder != artifact.folder


@pytest.mark.parametrize("body", [b"", b"{}", b"not json", b'{"format": "vigia-model/2"}'])
def test_a_manifest_of_another_kind_is_refused(artifact: Artifact, body: bytes) -> None:
    with pytest.raises(ArtifactError):
        Artifact.load({**artifact.all_files(), MANIFEST_FILE: body})


@pytest.mark.parametrize("name", ["../model.onnx", "/model.onnx", "a//b", "a/../../b", ""])
def test_a_file_cannot_lie_outside_the_folder(artifact: Artifact, name: str) -> None:
    fields = artifact.manifest.model_dump(mode="json")
    fields["files"][name] = fields["files"][MODEL_FILE]
    with pytest.raises(ValidationError):
        Manifest.model_validate(fields)


def test_a_manifest_that_contradicts_itself_is_refused(artifact: Artifact) -> None:
    fields = artifact.manifest.model_dump(mode="json")
    for change in (
        {"labels": []},
        {"kind": "anomaly-classification"},
        {"outputs": fields["outputs"][1:]},
        {"outputs": fields["outputs"][:1]},
        {"decision": {"pixel_thresholds": []}},
        {"threshold": {"value": 1.5}},
    ):
        with pytest.raises(ValidationError):
            Manifest.model_validate({**fields, **change})


def test_golden_samples_hold_where_they_were_made_and_not_for_other_numbers(artifact: Artifact) -> None:
    session = Session(artifact)
    (sample,) = artifact.golden_samples()
    outputs = session.infer(sample.tensor[None])
    assert sample.difference(outputs) < 1e-6
    assert sample.difference({**outputs, "score": outputs["score"] + 0.1}) == pytest.approx(0.1, abs=1e-6)
    assert sample.difference({"score": outputs["score"]}) == float("inf")
    assert sample.difference({**outputs, "maps": outputs["maps"] * np.nan}) == float("inf")
