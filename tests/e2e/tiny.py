"""A model that can be made in a millisecond and whose verdict is known: bright images are anomalous."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
import simplejpeg
from onnx import TensorProto, checker, helper, numpy_helper

from vigia_vision.artifact import Artifact, npy
from vigia_vision.manifest import Golden, InputContract, Manifest, TensorSpec, Threshold
from vigia_vision.prepare import squash_area

WIDTH, HEIGHT = 160, 120
THRESHOLD = 0.5


def graph() -> bytes:
    """uint8 [N, HEIGHT, WIDTH, 3] to ``score`` [N, 1]: the mean brightness, 0 to 1."""
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "scale"], ["scaled"]),
        helper.make_node("Reshape", ["scaled", "column"], ["score"]),
    ]
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "brightness",
            [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", HEIGHT, WIDTH, 3])],
            [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["N", 1])],
            [
                numpy_helper.from_array(np.float32(1 / 255), "scale"),
                numpy_helper.from_array(np.array([-1, 1], np.int64), "column"),
            ],
        ),
        opset_imports=[helper.make_opsetid("", 13)],
    )
    model.ir_version = 8
    checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


@cache
def image(brightness: int, seed: int = 0) -> bytes:
    """A JPEG of WIDTH x HEIGHT whose mean brightness is about ``brightness`` (0 to 255)."""
    noise = np.random.default_rng(seed).integers(-8, 9, (HEIGHT, WIDTH, 3))
    pixels = np.clip(noise + brightness, 0, 255).astype(np.uint8)
    encoded: bytes = simplejpeg.encode_jpeg(pixels, quality=90, colorspace="RGB")
    return encoded


def score(data: bytes) -> float:
    """What the graph gives for ``data``."""
    pixels = simplejpeg.decode_jpeg(data, "RGB")
    return float(squash_area(pixels, WIDTH, HEIGHT).astype(np.float32).mean() / 255)


def artifact() -> Artifact:
    """The complete artifact, golden samples included."""
    samples = {"golden/dark.jpg": image(60), "golden/bright.jpg": image(200)}
    files: dict[str, bytes] = {"model.onnx": graph(), **samples}
    golden = []
    for name, data in samples.items():
        numbers = name.replace(".jpg", ".score.npy")
        files[numbers] = npy(np.array([score(data)], np.float32))
        golden.append(
            Golden(file=name, outputs={"score": numbers}, is_anomalous=score(data) >= THRESHOLD, tolerance=0.01)
        )
    manifest = Manifest(
        kind="anomaly-classification",
        input=InputContract(width=WIDTH, height=HEIGHT, image_width=WIDTH, image_height=HEIGHT),
        outputs=(TensorSpec(name="score", shape=(-1, 1)),),
        threshold=Threshold(value=THRESHOLD),
        golden=tuple(golden),
    )
    return Artifact.build(manifest, files)


def png(width: int, height: int) -> bytes:
    """A small PNG file of any size: one colour compresses well."""
    from PIL import Image

    file = io.BytesIO()
    Image.new("L", (width, height)).save(file, "PNG")
    return file.getvalue()
