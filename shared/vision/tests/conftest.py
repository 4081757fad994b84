"""A small real model: an ONNX graph whose score is the mean red and whose map is the red of a coarse grid."""

from __future__ import annotations

import io

import numpy as np
import onnx
import pytest
from hypothesis import settings
from numpy.typing import NDArray
from onnx import TensorProto, helper
from PIL import Image

from vigia_vision import Artifact, Manifest, Session
from vigia_vision.artifact import MODEL_FILE, npy
from vigia_vision.manifest import Decision, Golden, InputContract, Label, TensorSpec, Threshold
from vigia_vision.prepare import prepare
from vigia_vision.session import first

# A busy machine makes any example slow now and then; what must be fast is asserted where it matters.
settings.register_profile("vigia", deadline=None)
settings.load_profile("vigia")

SIDE = 32
GRID = 8


def red_graph() -> bytes:
    """uint8 [N, 32, 32, 3] to score [N, 1] and maps [N, 1, 8, 8]."""
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["float", "full"], ["unit"]),
        helper.make_node("Transpose", ["unit"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Slice", ["planes", "from", "to", "axis"], ["red"]),
        helper.make_node("AveragePool", ["red"], ["maps"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("GlobalAveragePool", ["red"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["score"]),
    ]
    constants = [
        helper.make_tensor("full", TensorProto.FLOAT, [], [255.0]),
        *(helper.make_tensor(n, TensorProto.INT64, [1], [v]) for n, v in (("from", 0), ("to", 1), ("axis", 1))),
    ]
    graph = helper.make_graph(
        nodes,
        "red",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", SIDE, SIDE, 3])],
        [
            helper.make_tensor_value_info("score", TensorProto.FLOAT, ["N", 1]),
            helper.make_tensor_value_info("maps", TensorProto.FLOAT, ["N", 1, GRID, GRID]),
        ],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def encode(pixels: NDArray[np.uint8], kind: str = "PNG", **options: object) -> bytes:
    """Pixels as the bytes of an image file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def half_red(width: int = 64, height: int = 48) -> NDArray[np.uint8]:
    """The left half red, the right half black."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2, 0] = 255
    return pixels


@pytest.fixture(scope="session")
def artifact() -> Artifact:
    """Takes 64x48 images; label ``red``; threshold 0.4; one golden sample."""
    draft = Manifest(
        kind="anomaly-segmentation",
        labels=(Label(name="red", color="#23a436"),),
        input=InputContract(width=SIDE, height=SIDE, image_width=64, image_height=48),
        outputs=(TensorSpec(name="score", shape=(-1, 1)), TensorSpec(name="maps", shape=(-1, 1, GRID, GRID))),
        threshold=Threshold(value=0.4),
        decision=Decision(pixel_thresholds=(0.5,)),
    )
    graph = red_graph()
    image = encode(half_red())
    session = Session(Artifact.build(draft, {MODEL_FILE: graph}))
    outputs = first(session.infer(prepare(image, draft).tensor[None]))
    golden = Golden(file="golden/1.png", outputs={n: f"golden/1.{n}.npy" for n in outputs}, is_anomalous=True)
    files = {MODEL_FILE: graph, "golden/1.png": image} | {f"golden/1.{n}.npy": npy(v) for n, v in outputs.items()}
    return Artifact.build(draft.model_copy(update={"golden": (golden,)}), files)


@pytest.fixture(scope="session")
def half_red_png() -> bytes:
    """A 64x48 PNG, the left half red."""
    return encode(half_red())
