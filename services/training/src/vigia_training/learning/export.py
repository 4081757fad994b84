"""A network as one ONNX graph, made of two: the backbone, which may be quantized, and what judges its features."""

from __future__ import annotations

from dataclasses import dataclass

import onnx
import onnx.compose
import torch
from torch import Tensor, nn

from vigia_training.learning.backbone import Backbone
from vigia_training.learning.graph import INPUT, to_graph
from vigia_training.learning.trainer import Network
from vigia_vision.manifest import TensorSpec

OUTPUTS = ("score", "maps")


@dataclass(frozen=True, slots=True)
class Judge:
    """The graph from a backbone's features to ``outputs``."""

    graph: onnx.ModelProto
    outputs: tuple[TensorSpec, ...]


def export_backbone(backbone: Backbone, width: int, height: int) -> onnx.ModelProto:
    """The graph from ``image``, uint8 ``[N, height, width, 3]`` with the batch axis free, to the features."""
    image = torch.zeros(1, height, width, 3, dtype=torch.uint8)
    return to_graph(_Backbone(backbone.sized(height, width)), (image,), [INPUT], _feature_names(backbone))


def export_judge(network: Network, width: int, height: int) -> Judge:
    """The graph of what ``network`` does with features of images of that size."""
    with torch.inference_mode():
        features = network.backbone(torch.zeros(1, height, width, 3, dtype=torch.uint8))
        results = network.judge(features)
    outputs = list(OUTPUTS[: len(results)])
    specs = tuple(
        TensorSpec(name=name, shape=(-1, *(int(side) for side in result.shape[1:])))
        for name, result in zip(outputs, results, strict=True)
    )
    examples = tuple(feature.clone() for feature in features)
    return Judge(to_graph(_Judge(network), examples, _feature_names(network.backbone), outputs), specs)


def join(backbone: onnx.ModelProto, judge: Judge, provenance: str) -> bytes:
    """The bytes of one graph.

    ``provenance`` is written into the graph, so that equal weights of different versions stay distinct files.
    """
    results = [spec.name for spec in judge.outputs]
    model = onnx.compose.merge_models(
        backbone,
        judge.graph,
        # Not every judge reads every feature.
        io_map=[(value.name, value.name) for value in judge.graph.graph.input],
        outputs=[f"judge/{name}" for name in results],
        prefix1="backbone/",
        prefix2="judge/",
    )
    _rename(model, {f"backbone/{INPUT}": INPUT} | {f"judge/{name}": name for name in results})
    model.producer_name, model.doc_string = "vigia", provenance
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _feature_names(backbone: Backbone) -> list[str]:
    return [f"features.{number}" for number in range(len(backbone.channels))]


class _Backbone(nn.Module):
    """A tuple is what the exporter takes."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.backbone(image))


class _Judge(nn.Module):
    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, *features: Tensor) -> tuple[Tensor, ...]:
        return self.network.judge(features)


def _rename(model: onnx.ModelProto, names: dict[str, str]) -> None:
    """Gives tensors other names."""
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value in (*model.graph.input, *model.graph.output):
        value.name = names.get(value.name, value.name)
