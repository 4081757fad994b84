"""Runs an artifact's graph in this process, with ONNX Runtime on the CPU."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from vigia_vision.artifact import Artifact
from vigia_vision.decode import DEFAULT_LIMITS, Limits, Pixels
from vigia_vision.find import Finding, find
from vigia_vision.interpret import Answer, interpret
from vigia_vision.prepare import prepare

# Nothing leaves the plant. ONNX Runtime reads this when it is loaded, so it stands before the import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime as ort


class Session:
    """A loaded model. Safe to call from several threads; ``threads`` is how many cores one call may use."""

    def __init__(self, artifact: Artifact, threads: int = 1) -> None:
        self.manifest = artifact.manifest
        self._outputs = [output.name for output in artifact.manifest.outputs]
        self._session = load(artifact.model, threads)

    def infer(self, batch: Pixels) -> dict[str, NDArray[np.float32]]:
        """uint8 ``[N, H, W, 3]`` to the outputs by name, each with the batch axis first."""
        values = self._session.run(self._outputs, {self.manifest.input.tensor: batch})
        return dict(zip(self._outputs, values, strict=True))

    def inspect(self, data: bytes, threshold: float | None = None, limits: Limits = DEFAULT_LIMITS) -> Answer:
        """Judges one JPEG or PNG; ``threshold`` replaces the manifest's. Raises DecodeError or WrongSize."""
        prepared = prepare(data, self.manifest, limits)
        outputs = first(self.infer(prepared.tensor[None]))
        value = self.manifest.threshold.value if threshold is None else threshold
        return interpret(outputs, self.manifest, value, prepared.width, prepared.height)

    def find(
        self, data: bytes, min_confidence: float | None = None, limits: Limits = DEFAULT_LIMITS
    ) -> tuple[Finding, ...]:
        """Labels or objects in one JPEG or PNG, of the kinds that give labels. Raises DecodeError or WrongSize."""
        prepared = prepare(data, self.manifest, limits)
        outputs = first(self.infer(prepared.tensor[None]))
        return find(outputs, self.manifest, prepared.width, prepared.height, min_confidence)


def load(model: bytes, threads: int) -> ort.InferenceSession:
    """An ONNX graph in ONNX Runtime, on ``threads`` cores."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def first(outputs: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """The outputs of a batch's first image, without the batch axis."""
    return {name: values[0] for name, values in outputs.items()}
