"""A network as one ONNX graph."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence

import onnx
import torch
from torch import nn

from vigia_vision.manifest import TensorSpec

OPSET = 17


def to_onnx(
    network: nn.Module, width: int, height: int, names: Sequence[str], provenance: str
) -> tuple[bytes, tuple[TensorSpec, ...]]:
    """The graph's bytes and its outputs, called ``names``. Input ``image`` uint8 ``[N, height, width, 3]``.

    The batch axis is free. ``provenance`` is written into the graph, so that equal weights of different versions stay
    distinct files.
    """
    example = torch.zeros(1, height, width, 3, dtype=torch.uint8)
    with torch.inference_mode():
        results = network(example)
    file = io.BytesIO()
    with warnings.catch_warnings():
        # The exporter warns that it is the older of two; the newer needs a further package and writes newer opsets.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (example,),
            file,  # type: ignore[arg-type]  # the older exporter writes to a file object
            input_names=["image"],
            output_names=list(names),
            opset_version=OPSET,
            dynamic_axes={name: {0: "N"} for name in ("image", *names)},
            dynamo=False,
        )
    model = onnx.load_from_string(file.getvalue())
    model.producer_name, model.doc_string = "vigia", provenance
    onnx.checker.check_model(model)
    specs = tuple(
        TensorSpec(name=name, shape=(-1, *(int(side) for side in result.shape[1:])))
        for name, result in zip(names, results, strict=True)
    )
    return model.SerializeToString(deterministic=True), specs
