"""A graph in 8-bit integers: about half the time on a CPU, for a little noise in its features."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from vigia_training.learning.graph import INPUT

# Nothing leaves the plant. ONNX Runtime reads this when it is loaded, so it stands before the import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

Pixels = NDArray[np.uint8]

#: Images whose activations say what range eight bits have to cover.
CALIBRATION_IMAGES = 40
#: Parts of the names of a backbone's nodes that stay in floating point: half of the noise would come from them, and
#: little of the gain. In integers they are no faster: a convolution of three channels is none that instructions for
#: bytes help with.
KEPT = ("/stem/", "/blocks.0/")


def quantize(graph: onnx.ModelProto, images: Pixels, kept: Sequence[str] = KEPT) -> onnx.ModelProto:
    """``graph`` with its convolutions in int8, weights by channel, but for nodes with one of ``kept`` in their names.

    ``images`` uint8 ``[n, H, W, 3]``: of what it will see; the first ``CALIBRATION_IMAGES`` are used. Quantize and
    dequantize nodes (QDQ) of the standard, which ONNX Runtime and TensorRT read as integer arithmetic.
    """
    kept_nodes = [node.name for node in graph.graph.node if any(part in node.name for part in kept)]
    with tempfile.TemporaryDirectory(prefix="vigia-int8-") as folder, _without_advice():
        # By file: a model in memory would come back with its weights outside of it.
        given, path = Path(folder) / "float32.onnx", Path(folder) / "int8.onnx"
        onnx.save(graph, given)
        quantize_static(
            given,
            path,
            _Reader(images[:CALIBRATION_IMAGES]),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            calibrate_method=CalibrationMethod.MinMax,
            nodes_to_exclude=kept_nodes,
            op_types_to_quantize=["Conv", "Clip", "Add"],
        )
        return onnx.load(path)


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, images: Pixels) -> None:
        self._batches = ({INPUT: image[None]} for image in images)

    def get_next(self) -> dict[str, Pixels] | None:
        return next(self._batches, None)


@contextmanager
def _without_advice() -> Iterator[None]:
    """The quantizer advises preparation steps that the exported graph has had."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
