"""Whether a model may be in int8: what that costs on images that nobody learnt from, and what it saves."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch.nn import functional as fn

from vigia_training.learning import threshold
from vigia_training.learning.budget import Precision
from vigia_training.learning.features import Example
from vigia_training.learning.quantize import CALIBRATION_IMAGES, KEPT, Pixels, quantize
from vigia_training.learning.trainer import Fitted, Fold
from vigia_vision.session import load

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

#: What integers may cost, measured on held-out images: areas under the ROC curve, and overlap of masks.
MAX_AUROC_LOSS = 0.002
MAX_IOU_LOSS = 0.01
#: And how far they may move scores, as a share of what lies between a usual image and the threshold.
MAX_NOISE = 0.15
#: Instructions that multiply bytes without overflow. Where none is there, int8 is neither faster nor the same numbers.
_BYTE_PRODUCTS = frozenset({"avx_vnni", "avx512_vnni", "amx_int8", "asimddp"})
CPUINFO = Path("/proc/cpuinfo")
#: Held-out images that are compared, of each class, over all folds.
_MOST = 150
_BATCH = 8
_ROUNDS = 15


@dataclass(frozen=True, slots=True)
class Comparison:
    """int8 against float32. ``noise``: standard deviation of the scores' differences; ``shift``: their median.

    Both in logits. None where the held-out images cannot tell: one class only, or no masks.
    """

    auroc_loss: float | None
    iou_loss: float | None
    noise: float
    shift: float
    speedup: float


@dataclass(frozen=True, slots=True)
class Choice:
    """The graph to serve, and why. ``shift`` is to be added to the calibration's offset.

    ``speedup`` is of int8; no part of ``reason``, which the artifact repeats: times differ from run to run.
    """

    graph: onnx.ModelProto
    precision: Literal["float32", "int8"]
    reason: str
    shift: float = 0.0
    speedup: float = 1.0


def choose(
    wanted: Precision, backbone: onnx.ModelProto, fitted: Fitted, examples: Sequence[Example], threads: int
) -> Choice:
    """``backbone`` as it is, or in int8 where that is ``wanted`` or, on ``auto``, where it costs next to nothing."""
    settled = _without_trial(wanted)
    if settled is None and not fitted.network.backbone.quantizable:
        settled = "int8 is known of EfficientNets alone"
    if settled:
        return Choice(backbone, "float32", settled)
    integers = quantize(backbone, calibration_images([example.pixels for example in examples]))
    compared = compare(backbone, integers, fitted, threads)
    against = None if wanted == "int8" else objection(compared, fitted.network.calibration.scale)
    if against is not None:
        return Choice(backbone, "float32", against, speedup=compared.speedup)
    return Choice(integers, "int8", _cost(compared), compared.shift, compared.speedup)


@dataclass(frozen=True, slots=True)
class Trial:
    """The same network learnt without ``held`` images, to see what int8 costs on them.

    ``graph`` exports it, and is asked only where that is to be seen. ``measure`` gives the numbers that matter, by name
    and the higher the better, of what a session answers to the images.
    """

    graph: Callable[[], onnx.ModelProto]
    held: Sequence[Pixels]
    measure: Callable[[Mapping[str, NDArray[np.float32]]], Mapping[str, float]]


def choose_whole(
    wanted: Precision,
    graph: onnx.ModelProto,
    trial: Trial,
    images: Sequence[Pixels],
    threads: int,
    kept: Sequence[str] = KEPT,
) -> Choice:
    """The graph of a whole model as it is, or in int8 as :func:`choose` says, with numbers of ``trial``'s own.

    ``images`` are some that were learnt from, uint8 ``[H, W, 3]``; ``kept`` as :func:`quantize` takes it.
    """
    if settled := _without_trial(wanted):
        return Choice(graph, "float32", settled)
    some = calibration_images(images)
    losses: dict[str, float] = {}
    speedup = 1.0
    if trial.held:
        plain = trial.graph()
        integers = quantize(plain, some, kept)
        sessions = (load(plain.SerializeToString(), threads), load(integers.SerializeToString(), threads))
        before, after = (trial.measure(_answers(session, trial.held)) for session in sessions)
        losses = {name: before[name] - after[name] for name in before}
        speedup = _speedup(sessions, trial.held[0])
    if wanted == "auto":
        if not losses:
            return Choice(graph, "float32", "no images that were held back say what int8 would cost", speedup=speedup)
        worst = max(losses, key=lambda name: losses[name])
        if losses[worst] > MAX_AUROC_LOSS:
            return Choice(graph, "float32", f"int8 would lose {losses[worst]:.4f} {worst}", speedup=speedup)
    reason = " and ".join(f"{max(loss, 0.0):.4f} {name} lost" for name, loss in losses.items()) or "asked for"
    return Choice(quantize(graph, some, kept), "int8", reason, speedup=speedup)


def calibration_images(images: Sequence[Pixels]) -> Pixels:
    """Some of them, at random and always the same ones."""
    some = np.random.default_rng(0).permutation(len(images))[:CALIBRATION_IMAGES]
    return np.stack([images[i] for i in some])


def _answers(session: InferenceSession, images: Sequence[Pixels]) -> dict[str, NDArray[np.float32]]:
    names = [output.name for output in session.get_outputs()]
    parts = [
        session.run(names, {session.get_inputs()[0].name: np.stack(images[start : start + _BATCH])})
        for start in range(0, len(images), _BATCH)
    ]
    return {name: np.concatenate([part[place] for part in parts]) for place, name in enumerate(names)}


def _without_trial(wanted: Precision) -> str | None:
    """Why it is float32 whatever a trial would show; None if that is to be seen."""
    if wanted == "float32":
        return "asked for"
    if wanted == "auto" and not _multiplies_bytes():
        return "this processor has no instructions for int8"
    return None


def objection(compared: Comparison, scale: float) -> str | None:
    """What speaks against int8, None if nothing does. ``scale``: of the calibration."""
    if compared.auroc_loss is not None and compared.auroc_loss > MAX_AUROC_LOSS:
        return f"int8 would lose {compared.auroc_loss:.4f} AUROC"
    if compared.iou_loss is not None and compared.iou_loss > MAX_IOU_LOSS:
        return f"int8 would lose {compared.iou_loss:.3f} of the masks' overlap"
    margin = scale * threshold.TYPICAL_Z
    if compared.noise > MAX_NOISE * margin:
        return f"int8 would move scores by {compared.noise / margin:.2f} of the margin of a usual image"
    return None


def compare(backbone: onnx.ModelProto, integers: onnx.ModelProto, fitted: Fitted, threads: int) -> Comparison:
    """Both backbones on images that the folds' heads never saw, at most ``_MOST`` of each class."""
    sessions = (load(backbone.SerializeToString(), threads), load(integers.SerializeToString(), threads))
    most = max(1, _MOST // len(fitted.folds))
    auroc, differences = [], []
    overlaps = np.zeros((2, 2, len(fitted.pixel_thresholds)))
    for fold in fitted.folds:
        held = [e for flag in (False, True) for e in [e for e in fold.held if e.anomalous is flag][:most]]
        if not held:
            continue
        results = [_judge(session, fold, held, fitted.pixel_thresholds) for session in sessions]
        flags = np.array([e.anomalous for e in held])
        differences.append(results[1].logits - results[0].logits)
        if flags.any() and not flags.all():
            auroc.append(roc_auc_score(flags, results[0].logits) - roc_auc_score(flags, results[1].logits))
        overlaps += np.stack([result.overlap for result in results])
    both, either = overlaps[:, 0], overlaps[:, 1]
    known = (either > 0).all(0)
    iou = both[:, known] / either[:, known]
    moved = np.concatenate(differences)
    return Comparison(
        auroc_loss=float(np.mean(auroc)) if auroc else None,
        iou_loss=float((iou[0] - iou[1]).max()) if known.any() else None,
        noise=float(moved.std()),
        shift=float(np.median(moved)),
        speedup=_speedup(sessions, fitted.folds[0].held[0].pixels),
    )


@dataclass(frozen=True, slots=True)
class _Judged:
    """``overlap`` ``[2, labels]``: cells in truth and answer, cells in either."""

    logits: NDArray[np.float64]
    overlap: NDArray[np.float64]


@torch.inference_mode()
def _judge(session: InferenceSession, fold: Fold, held: Sequence[Example], limits: Sequence[float]) -> _Judged:
    logits = []
    overlap = np.zeros((2, len(limits)))
    for start in range(0, len(held), _BATCH):
        part = held[start : start + _BATCH]
        features = session.run(None, {session.get_inputs()[0].name: np.stack([e.pixels for e in part])})
        found, maps = fold.head([torch.from_numpy(feature) for feature in features])
        logits.append(found.double().numpy())
        if maps is None:
            continue
        for example, answer in zip(part, torch.sigmoid(maps).numpy(), strict=True):
            if example.masks is not None:
                truth = fn.avg_pool2d(torch.from_numpy(example.masks)[None], 4)[0].numpy() >= 0.5
                said = answer >= np.asarray(limits)[:, None, None]
                overlap += np.stack([(said & truth).sum((1, 2)), (said | truth).sum((1, 2))])
    return _Judged(np.concatenate(logits), overlap)


def _speedup(sessions: tuple[InferenceSession, InferenceSession], image: Pixels) -> float:
    """How much less time the second needs, in alternation: what else the machine does meets both alike."""
    took: tuple[list[float], list[float]] = ([], [])
    for _ in range(_ROUNDS):
        for session, times in zip(sessions, took, strict=True):
            began = time.perf_counter()
            session.run(None, {session.get_inputs()[0].name: image[None]})
            times.append(time.perf_counter() - began)
    return float(np.median(took[0]) / np.median(took[1]))


def _multiplies_bytes() -> bool:
    try:
        words = set(CPUINFO.read_text().split())
    except OSError:
        return False
    return not words.isdisjoint(_BYTE_PRODUCTS)


def _cost(compared: Comparison) -> str:
    costs = [
        f"{loss:.4f} {what} lost"
        for loss, what in ((compared.auroc_loss, "AUROC"), (compared.iou_loss, "mask IoU"))
        if loss is not None
    ]
    return " and ".join(costs) or "no anomalous images to measure the loss by"
