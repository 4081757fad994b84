"""Decoding and the model, in this process."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence

import numpy as np
import simplejpeg
from PIL import Image

from tests.bench.figures import Figure, Report, quantile
from vigia_vision.artifact import Artifact
from vigia_vision.decode import decode
from vigia_vision.session import Session

_ROUNDS = 10


def milliseconds(work: Callable[[bytes], object], images: Sequence[bytes]) -> list[float]:
    """How long ``work`` takes on each image, several rounds; the first round does not count."""
    taken = []
    for number in range(_ROUNDS + 1):
        for image in images:
            began = time.perf_counter()
            work(image)
            if number:
                taken.append((time.perf_counter() - began) * 1000)
    return taken


def measure(report: Report, artifact: Artifact, images: Sequence[bytes]) -> None:
    """Adds the figures."""
    ours = quantile(milliseconds(decode, images), 0.5)
    plain = quantile(milliseconds(lambda data: simplejpeg.decode_jpeg(data, "RGB"), images), 0.5)
    pillow = quantile(milliseconds(lambda data: np.asarray(Image.open(io.BytesIO(data)).convert("RGB")), images), 0.5)
    report.add(Figure("decode 640x480 JPEG, median", ours, "ms", plain, "ms simplejpeg"))
    report.add(Figure("decode 640x480 JPEG, median", ours, "ms", pillow, "ms Pillow"))
    session = Session(artifact)
    taken = milliseconds(session.inspect, images)
    shape = (1, artifact.manifest.input.height, artifact.manifest.input.width, 3)
    network = quantile(milliseconds(lambda _: session.infer(np.zeros(shape, np.uint8)), images), 0.5)
    report.add(Figure("image to answer in process, median", quantile(taken, 0.5), "ms", network, "ms graph alone"))
    report.add(Figure("image to answer in process, p99", quantile(taken, 0.99), "ms", network, "ms graph alone"))
