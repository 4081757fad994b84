"""A module as an ONNX graph."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence

import onnx
import onnxslim  # type: ignore[import-untyped]
import torch
from torch import Tensor, nn

from vigia_vision.manifest import TensorSpec

OPSET = 17
INPUT = "image"


def to_graph(
    module: nn.Module, example: tuple[Tensor, ...], inputs: Sequence[str], outputs: Sequence[str]
) -> onnx.ModelProto:
    """The graph of what ``module`` does with tensors like ``example``, the batch axis free."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        # The exporter warns that it is the older of two; the newer needs a further package and writes newer opsets.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            example,
            file,  # type: ignore[arg-type]  # the older exporter writes to a file object
            input_names=list(inputs),
            output_names=list(outputs),
            opset_version=OPSET,
            dynamic_axes={name: {0: "N"} for name in (*inputs, *outputs)},
            dynamo=False,
        )
    # What the sizes decide is computed once, and padding becomes the convolution's own: a quarter less time.
    slim: onnx.ModelProto = onnxslim.slim(onnx.load_from_string(file.getvalue()))
    return slim


def to_onnx(
    network: nn.Module, width: int, height: int, names: Sequence[str], provenance: str
) -> tuple[bytes, tuple[TensorSpec, ...]]:
    """A whole model's bytes and its outputs; see :func:`exported` and :func:`finished`."""
    model, specs = exported(network, width, height, names)
    return finished(model, provenance), specs


def exported(
    network: nn.Module, width: int, height: int, names: Sequence[str]
) -> tuple[onnx.ModelProto, tuple[TensorSpec, ...]]:
    """A whole model's graph and its outputs, called ``names``. Input ``image`` uint8 ``[N, height, width, 3]``."""
    example = torch.zeros(1, height, width, 3, dtype=torch.uint8)
    with torch.inference_mode():
        results = network.eval()(example)
    specs = tuple(
        TensorSpec(name=name, shape=(-1, *(int(side) for side in result.shape[1:])))
        for name, result in zip(names, results, strict=True)
    )
    return to_graph(network, (example,), [INPUT], names), specs


def finished(model: onnx.ModelProto, provenance: str) -> bytes:
    """A graph's bytes, checked.

    ``provenance`` is written into the graph, so that equal weights of different versions stay distinct files.
    """
    model.producer_name, model.doc_string = "vigia", provenance
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString(deterministic=True)
    return data
