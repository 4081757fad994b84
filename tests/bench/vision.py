"""Decoding and the model, in this process. ``python -m tests.bench.vision`` measures this alone, without a stack."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence

import numpy as np
import onnx
import onnx.utils
import simplejpeg
from PIL import Image
from rich.console import Console

from tests.bench import sample
from tests.bench.figures import Figure, Report, quantile
from vigia_stack import paths
from vigia_vision import prepare
from vigia_vision.artifact import Artifact
from vigia_vision.decode import decode
from vigia_vision.session import Session, load

_ROUNDS = 10
_LARGE = (1280, 960)


def milliseconds(works: Sequence[Callable[[bytes], object]], images: Sequence[bytes]) -> list[list[float]]:
    """How long each of ``works`` takes on each image, taking turns, several rounds; the first does not count."""
    taken: list[list[float]] = [[] for _ in works]
    for number in range(_ROUNDS + 1):
        for image in images:
            for place in range(len(works)):
                # Each round begins with another: the first finds the image in no cache.
                index = (place + number) % len(works)
                began = time.perf_counter()
                works[index](image)
                if number:
                    taken[index].append((time.perf_counter() - began) * 1000)
    return taken


def measure(report: Report, artifact: Artifact, images: Sequence[bytes]) -> None:
    """Adds the figures."""
    for size in ((sample.WIDTH, sample.HEIGHT), _LARGE):
        _decoding(report, artifact, f"{size[0]}x{size[1]}", [sample.resized(image, *size) for image in images])
    session = Session(artifact)
    contract = artifact.manifest.input
    blank = np.zeros((1, contract.height, contract.width, 3), np.uint8)
    backbone = load(_backbone(artifact), 1)
    whole, network, features = milliseconds(
        (session.inspect, lambda _: session.infer(blank), lambda _: backbone.run(None, {contract.tensor: blank})),
        images,
    )
    alone = quantile(network, 0.5)
    report.add(
        Figure("image to answer in process, median", quantile(whole, 0.5), "ms", alone, "ms graph alone", "≤ 10")
    )
    report.add(Figure("image to answer in process, p99", quantile(whole, 0.99), "ms", alone, "ms graph alone", "≤ 25"))
    middle = quantile(features, 0.5)
    scoring = Figure("scoring in the graph, median", alone - middle, "ms", middle, "ms backbone", "≤ 1.0 of it")
    report.add(scoring)


def _decoding(report: Report, artifact: Artifact, size: str, images: Sequence[bytes]) -> None:
    contract = artifact.manifest.input
    any_size = contract.model_copy(update={"any_size": True})
    manifest = artifact.manifest.model_copy(update={"input": any_size})

    def pillow(data: bytes) -> Image.Image:
        return Image.open(io.BytesIO(data)).convert("RGB")

    taken = milliseconds(
        (
            decode,
            lambda data: simplejpeg.decode_jpeg(data, "RGB"),
            lambda data: np.asarray(pillow(data)),
            lambda data: prepare(data, manifest),
            lambda data: np.asarray(pillow(data).resize((contract.width, contract.height), Image.Resampling.BOX)),
        ),
        images,
    )
    ours, plain, theirs, tensor, their_tensor = (quantile(times, 0.5) for times in taken)
    name = f"JPEG {size} to pixels, median"
    report.add(Figure(name, ours, "ms", plain, "ms simplejpeg", "≤ 1.05 of it"))
    report.add(Figure(name, ours, "ms", theirs, "ms Pillow", "≤ 0.40 of it"))
    report.add(Figure(f"JPEG {size} to tensor, median", tensor, "ms", their_tensor, "ms Pillow", "≤ 0.40 of it"))


def _backbone(artifact: Artifact) -> bytes:
    """The part of the graph that is not learnt, up to the features that are scored."""
    model = onnx.load_from_string(artifact.model)
    nodes = model.graph.node
    made = {name for node in nodes if node.name.startswith("backbone/") for name in node.output}
    read = {name for node in nodes if node.name.startswith("judge/") for name in node.input}
    part = onnx.utils.Extractor(model).extract_model([artifact.manifest.input.tensor], sorted(made & read))
    data: bytes = part.SerializeToString()
    return data


def main() -> None:
    """Measures and prints."""
    report = Report()
    measure(report, sample.artifact(paths.default_state()), sample.photographs())
    report.show(Console(width=150))


if __name__ == "__main__":
    main()
