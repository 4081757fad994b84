"""A classifier that nobody taught, to host; and how many images a second it takes, beside OpenVINO on its graph."""

from __future__ import annotations

import importlib.util
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from tests.bench import sample
from vigia_training.learning.backbone import load_network
from vigia_training.learning.classification.network import KEPT, Classifier, Tail, Trunk
from vigia_training.learning.graph import INPUT, exported
from vigia_training.learning.quantize import quantize
from vigia_vision.artifact import MANIFEST_FILE, MODEL_FILE, Artifact, npy, write_artifact
from vigia_vision.decode import decode
from vigia_vision.manifest import Decision, Golden, InputContract, Label, Manifest, TensorSpec, Threshold
from vigia_vision.prepare import squash_area
from vigia_vision.session import load

_SIDE = 224
_LABELS = 10
_SECONDS = 2.0
_ROUNDS = 5
_CORES = len(os.sched_getaffinity(0))

Pixels = NDArray[np.uint8]
#: Runs the model on images for so many seconds; the images a second.
Runner = Callable[[float], float]


def measure() -> dict[str, float]:
    """Images a second, the median of several rounds in which all take turns. Without OpenVINO its numbers are absent.

    The weights are those of ImageNet with a head that nobody taught: what they are takes no other time.
    """
    images, plain, integers = _graphs()
    runners = {"images/s int8": _ours(integers, images), "images/s float32": _ours(plain, images)}
    if importlib.util.find_spec("openvino") is not None:
        runners["OpenVINO int8"] = _openvino(integers, images)
        runners["OpenVINO float32"] = _openvino(plain, images)
    rates: dict[str, list[float]] = {name: [] for name in runners}
    costs: dict[str, list[float]] = {name: [] for name in runners}
    for number in range(_ROUNDS + 1):
        for name, runner in runners.items():
            used, began = time.process_time(), time.perf_counter()
            rate = runner(_SECONDS)
            if number:
                rates[name].append(rate)
                costs[name].append((time.process_time() - used) / (rate * (time.perf_counter() - began)))
    found = {name: float(np.median(values)) for name, values in rates.items()}
    if "OpenVINO int8" in found:
        ours, theirs = "images/s int8", "OpenVINO int8"
        found["of OpenVINO"] = float(np.median(np.divide(rates[ours], rates[theirs])))
        found["of OpenVINO, by CPU time"] = float(np.median(np.divide(costs[theirs], costs[ours])))
    return found


def artifact(state: Path) -> Artifact:
    """The classifier in integers as an artifact that can be hosted, made once and kept under the state folder."""
    folder = state / "bench" / "classifier"
    if not (folder / MANIFEST_FILE).exists():
        images, _, integers = _graphs()
        graph = integers.SerializeToString()
        score, confidences = load(graph, 1).run(["score", "confidences"], {INPUT: images[:1]})
        outputs = {"score": "golden/a.score.npy", "confidences": "golden/a.confidences.npy"}
        manifest = Manifest(
            kind="classification",
            labels=tuple(Label(name=f"label-{number}", color="#23A436") for number in range(_LABELS)),
            input=InputContract(
                width=_SIDE, height=_SIDE, image_width=sample.WIDTH, image_height=sample.HEIGHT, any_size=True
            ),
            outputs=(TensorSpec(name="score", shape=(-1, 1)), TensorSpec(name="confidences", shape=(-1, _LABELS))),
            threshold=Threshold(value=0.5),
            decision=Decision(label_thresholds=(0.5,) * _LABELS),
            golden=(Golden(file="golden/a.jpg", outputs=outputs, is_anomalous=False, tolerance=0.1),),
        )
        files = {
            MODEL_FILE: graph,
            "golden/a.jpg": sample.photographs()[0],
            outputs["score"]: npy(score[0]),
            outputs["confidences"]: npy(confidences[0]),
        }
        write_artifact(Artifact.build(manifest, files), folder)
    return Artifact.load(folder)


def _graphs() -> tuple[Pixels, onnx.ModelProto, onnx.ModelProto]:
    """Images to run, and the graph in floating point and in integers."""
    images = np.stack([squash_area(decode(image), _SIDE, _SIDE) for image in sample.photographs()])
    given = load_network()
    torch.manual_seed(0)
    network = Classifier(Trunk(given), Tail(given), nn.Linear(1280, _LABELS), True, 1.0)
    plain, _ = exported(network, _SIDE, _SIDE, ("score", "confidences"))
    return images, plain, quantize(plain, images, KEPT)


def _ours(graph: onnx.ModelProto, images: Pixels) -> Runner:
    """As many sessions of one thread as there are cores, as inference units are; one image a run."""
    sessions = [load(graph.SerializeToString(), 1) for _ in range(_CORES)]

    def run(seconds: float) -> float:
        end = time.perf_counter() + seconds
        done = [0] * len(sessions)

        def work(place: int) -> None:
            while time.perf_counter() < end:
                image = images[done[place] % len(images)]
                sessions[place].run(None, {INPUT: image[None]})
                done[place] += 1

        began = time.perf_counter()
        threads = [threading.Thread(target=work, args=(place,)) for place in range(len(sessions))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(done) / (time.perf_counter() - began)

    return run


def _openvino(graph: onnx.ModelProto, images: Pixels) -> Runner:
    """What its ``benchmark_app`` does by default: one image a request, as many at a time as it finds best."""
    import openvino

    core = openvino.Core()
    model = core.read_model(graph.SerializeToString())
    model.reshape({INPUT: [1, _SIDE, _SIDE, 3]})
    queue = openvino.AsyncInferQueue(core.compile_model(model, "CPU", {"PERFORMANCE_HINT": "THROUGHPUT"}))

    def run(seconds: float) -> float:
        began, done = time.perf_counter(), 0
        while time.perf_counter() < began + seconds:
            queue.start_async({INPUT: images[done % len(images)][None]})
            done += 1
        queue.wait_all()
        return done / (time.perf_counter() - began)

    return run
