"""A small real segmentation model for the tests, and images that it judges."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper
from PIL import Image

from vigia_vision import Artifact, Manifest
from vigia_vision.artifact import MODEL_FILE
from vigia_vision.manifest import Decision, InputContract, Label, TensorSpec, Threshold

WIDTH, HEIGHT = 64, 48
RED, GREEN = "#C81414", "#23A436"
_SIDE, _GRID = 32, 8


def colours() -> Artifact:
    """Takes 64x48 images; labels ``red`` and ``green`` where a channel is above half; anomalous from 0.4 on."""
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["float", "full"], ["unit"]),
        helper.make_node("Transpose", ["unit"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Slice", ["planes", "from", "to", "axis"], ["two"]),
        helper.make_node("AveragePool", ["two"], ["maps"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("GlobalMaxPool", ["maps"], ["peaks"]),
        helper.make_node("Flatten", ["peaks"], ["flat"]),
        helper.make_node("ReduceMax", ["flat", "axis"], ["score"], keepdims=1),
    ]
    constants = [
        helper.make_tensor("full", TensorProto.FLOAT, [], [255.0]),
        *(helper.make_tensor(n, TensorProto.INT64, [1], [v]) for n, v in (("from", 0), ("to", 2), ("axis", 1))),
    ]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", _SIDE, _SIDE, 3])],
        [
            helper.make_tensor_value_info("score", TensorProto.FLOAT, ["N", 1]),
            helper.make_tensor_value_info("maps", TensorProto.FLOAT, ["N", 2, _GRID, _GRID]),
        ],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    manifest = Manifest(
        kind="anomaly-segmentation",
        labels=(Label(name="red", color=RED), Label(name="green", color=GREEN)),
        input=InputContract(width=_SIDE, height=_SIDE, image_width=WIDTH, image_height=HEIGHT),
        outputs=(TensorSpec(name="score", shape=(-1, 1)), TensorSpec(name="maps", shape=(-1, 2, _GRID, _GRID))),
        threshold=Threshold(value=0.4),
        decision=Decision(pixel_thresholds=(0.5, 0.5)),
    )
    return Artifact.build(manifest, {MODEL_FILE: model.SerializeToString()})


def picture(red: int = 0, green: int = 0, kind: str = "PNG", size: tuple[int, int] = (WIDTH, HEIGHT)) -> bytes:
    """The left half as red, the right half as green as told, 0 to 255."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[:, : size[0] // 2, 0] = red
    pixels[:, size[0] // 2 :, 1] = green
    return encode(pixels, kind)


def mask(*stripes: str, width: int = WIDTH, kind: str = "PNG") -> bytes:
    """A mask of vertical stripes of equal width, in these colours (``#RRGGBB``)."""
    pixels = np.zeros((HEIGHT, width, 3), np.uint8)
    for place, color in enumerate(stripes):
        pixels[:, place * width // len(stripes) :] = list(bytes.fromhex(color[1:]))
    return encode(pixels, kind)


def encode(pixels: NDArray[np.uint8], kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def colours_in(data: bytes) -> set[str]:
    """Every colour of an image."""
    with Image.open(io.BytesIO(data)) as image:
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    return {"#{:02X}{:02X}{:02X}".format(*color) for color in np.unique(pixels, axis=0).tolist()}
