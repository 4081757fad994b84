"""The model artifact: one folder, immutable, named by its content.

``manifest.json``, ``model.onnx`` and ``golden/``. The manifest holds the digest of every other file, so the manifest's
own digest names the whole; in an object store the folder is ``<prefix>/<first 16 hex digits of it>/``.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from vigia_vision.decode import Pixels
from vigia_vision.manifest import FileDigest, Manifest
from vigia_vision.prepare import prepare

MANIFEST_FILE = "manifest.json"
MODEL_FILE = "model.onnx"


class ArtifactError(ValueError):
    """The folder is not the artifact that its manifest describes: a file is missing, added or changed."""


@dataclass(frozen=True, slots=True)
class GoldenSample:
    """``tensor``: uint8 ``[H, W, 3]``; ``expected``: per output its numbers for this image, without batch axis."""

    file: str
    tensor: Pixels
    expected: Mapping[str, NDArray[np.float32]]
    tolerance: float

    def difference(self, outputs: Mapping[str, NDArray[np.float32]]) -> float:
        """The largest absolute difference from what is expected; infinite for missing, misshapen or NaN outputs."""
        worst = 0.0
        for name, expected in self.expected.items():
            given = outputs.get(name)
            if given is None or given.size != expected.size or not np.isfinite(given).all():
                return float("inf")
            worst = max(worst, float(np.abs(given.reshape(expected.shape) - expected).max()))
        return worst


@dataclass(frozen=True, slots=True)
class Artifact:
    """A verified artifact in memory. ``files`` are all but ``manifest.json``."""

    manifest: Manifest
    manifest_bytes: bytes
    files: Mapping[str, bytes]

    @property
    def digest(self) -> str:
        """SHA-256 of ``manifest.json``, which stands for every byte of the artifact."""
        return hashlib.sha256(self.manifest_bytes).hexdigest()

    @property
    def folder(self) -> str:
        """The name of the artifact's folder under its prefix."""
        return self.digest[:16]

    @property
    def model(self) -> bytes:
        """``model.onnx``."""
        return self.files[MODEL_FILE]

    def all_files(self) -> dict[str, bytes]:
        """Every file by its name, ``manifest.json`` last: when it is there, the rest is."""
        return {**self.files, MANIFEST_FILE: self.manifest_bytes}

    def golden_samples(self) -> Iterator[GoldenSample]:
        """The samples that whoever serves the model compares its answers with."""
        for golden in self.manifest.golden:
            yield GoldenSample(
                file=golden.file,
                tensor=prepare(self.files[golden.file], self.manifest).tensor,
                expected={name: _array(self.files[file]) for name, file in golden.outputs.items()},
                tolerance=golden.tolerance,
            )

    @classmethod
    def load(cls, source: Path | Mapping[str, bytes]) -> Artifact:
        """Reads a folder, or files by their names, and verifies every digest. ArtifactError when anything differs."""
        given = _read(source) if isinstance(source, Path) else dict(source)
        body = given.pop(MANIFEST_FILE, None)
        if body is None:
            raise ArtifactError(f"there is no {MANIFEST_FILE}")
        try:
            manifest = Manifest.model_validate_json(body)
        except ValidationError as error:
            raise ArtifactError(f"{MANIFEST_FILE}: {error}") from error
        if missing := sorted(manifest.files.keys() - given.keys()):
            raise ArtifactError(f"missing: {', '.join(missing)}")
        if added := sorted(given.keys() - manifest.files.keys()):
            raise ArtifactError(f"not in the manifest: {', '.join(added)}")
        for name, content in given.items():
            if manifest.files[name] != _digest(content):
                raise ArtifactError(f"{name} is not the file that the manifest describes")
        needed = {MODEL_FILE} | {file for golden in manifest.golden for file in (golden.file, *golden.outputs.values())}
        if absent := sorted(needed - given.keys()):
            raise ArtifactError(f"named but without a digest: {', '.join(absent)}")
        return cls(manifest, body, given)

    @classmethod
    def build(cls, manifest: Manifest, files: Mapping[str, bytes]) -> Artifact:
        """Completes ``manifest`` with the digests of ``files`` (``model.onnx`` and the golden files)."""
        complete = manifest.model_copy(update={"files": {name: _digest(files[name]) for name in sorted(files)}})
        return cls.load({**files, MANIFEST_FILE: complete.to_json()})


def write_artifact(artifact: Artifact, folder: Path) -> None:
    """Writes the artifact's files into ``folder``, the manifest last."""
    for name, content in artifact.all_files().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def npy(array: NDArray[np.float32]) -> bytes:
    """One array as the content of a .npy file."""
    file = io.BytesIO()
    np.save(file, np.asarray(array, dtype=np.float32), allow_pickle=False)
    return file.getvalue()


def _array(content: bytes) -> NDArray[np.float32]:
    array: NDArray[np.float32] = np.load(io.BytesIO(content), allow_pickle=False)
    return array


def _digest(content: bytes) -> FileDigest:
    return FileDigest(sha256=hashlib.sha256(content).hexdigest(), size=len(content))


def _read(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder).as_posix()): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
