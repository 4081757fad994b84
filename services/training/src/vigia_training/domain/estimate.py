"""What a training will take, before its long part: seconds, memory, and whether a machine has them.

Seconds are those of a machine that does nothing else. They follow from two speeds measured on the machine itself: how
long an image takes to load, and how long the network takes for a megapixel. What the other work costs beside these is
measured in ``tests/bench/models/estimates.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from vigia_training.domain.errors import BadData

Kind = Literal["anomaly", "classification", "object-detection"]

MB = 1_000_000
#: Threads that load images, at most: each holds one whole.
LOADERS = 16
_SETTING = "VIGIA_TRAINING_LEARNING__"


class TooMuch(BadData):
    """A training that this machine cannot do in its memory, on its disk or within its time. Says what would help."""


@dataclass(frozen=True, slots=True)
class Work:
    """What there is to do. Sizes of images and tensors are in megapixels.

    ``kept``: training images that stay in memory, ``masked`` of them with masks of ``labels`` labels; ``pool``: images
    whose features are computed, ``steps`` of the optimiser with ``batch`` megapixels in each. ``features``: bytes of
    all features of a megapixel, ``weights`` bytes of the network; ``times``: steps done for each that is set.
    """

    kind: Kind
    learn: int
    test: int
    kept: int
    masked: int
    labels: int
    pool: int
    steps: int
    batch: float
    image: float
    tensor: float
    features: float
    weights: float
    times: float = 1.0


@dataclass(frozen=True, slots=True)
class Speed:
    """Seconds of this machine: ``load`` an image on one thread, ``network`` for a megapixel on ``threads``."""

    load: float
    network: float
    threads: int


@dataclass(frozen=True, slots=True)
class Machine:
    """What is free: bytes of memory and of disk."""

    memory: float
    disk: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """``stages``: seconds of each, in order. Bytes of memory beyond what is used now, of the artifact, and on disk."""

    stages: Mapping[str, float]
    memory: float
    artifact: float
    disk: float

    @property
    def seconds(self) -> float:
        return sum(self.stages.values())

    def __str__(self) -> str:
        return f"about {spoken(self.seconds)}, {_size(self.memory)} of memory, an artifact of {_size(self.artifact)}"


@dataclass(frozen=True, slots=True)
class _Costs:
    """Of one kind of model. Times in what the network needs for as many megapixels, memory in bytes a megapixel.

    ``feature``: a megapixel of the pool; ``step``: one of a batch; ``judge``: one of a test image; ``export``: all of
    it; ``hold``: memory of a megapixel of a batch while it is learnt from; ``copies`` of the pool at its most.
    """

    feature: float
    step: float
    judge: float
    export: float
    hold: float
    copies: float


#: Measured on two cores.
_COSTS: Mapping[Kind, _Costs] = {
    "anomaly": _Costs(feature=1.1, step=0.29, judge=1.5, export=28.0, hold=250 * MB, copies=2.0),
    "classification": _Costs(feature=0.6, step=1.7, judge=1.5, export=28.0, hold=300 * MB, copies=2.0),
    "object-detection": _Costs(feature=0.0, step=3.4, judge=1.5, export=11.0, hold=1300 * MB, copies=0.0),
}
#: Bytes of a pixel: as the graph takes it, decoded and being scaled, and of a label's mask.
_PIXEL, _DECODED, _MASK = 3, 12, 4
#: Reading finds every image's thumbnail or size and, in training, loads again.
_AGAIN = {"anomaly": 0, "classification": 1, "object-detection": 1}


def estimate(work: Work, speed: Speed) -> Estimate:
    """What ``work`` takes at ``speed``."""
    costs = _COSTS[work.kind]
    loading = speed.load / max(1, min(speed.threads, LOADERS))
    network = speed.network
    stages = {"reading": (work.learn + work.test) * loading}
    features = work.pool * work.tensor * costs.feature * network
    training = work.steps * work.batch * costs.step * network
    if work.kind == "anomaly":
        stages |= {"features": features, "training": training}
    else:
        stages["training"] = features + training + work.learn * loading * _AGAIN[work.kind]
    stages["exporting"] = costs.export * network
    stages["evaluating"] = work.test * (speed.load + work.tensor * costs.judge * network)
    pixels = work.kept * work.tensor * MB * _PIXEL
    masks = work.masked * work.labels * work.tensor * MB * _MASK
    pool = work.pool * work.tensor * (work.features + work.labels * MB / 16 * (work.masked > 0))
    loaders = min(2 * speed.threads, LOADERS) * work.image * MB * _DECODED
    memory = max(loaders, work.batch * costs.hold) + pixels + masks + costs.copies * pool + 4 * work.weights
    artifact = work.weights + 2 * MB + 8 * work.labels * work.tensor * MB / 16
    return Estimate(stages, memory, artifact, 4 * artifact)


@dataclass(frozen=True, slots=True)
class _Lever:
    """Something that makes a training smaller: what to call it, what it is now, its least, and what it changes."""

    text: str
    now: int
    least: int
    change: Callable[[int], Work]


def check(work: Work, speed: Speed, machine: Machine, seconds: float) -> Estimate:
    """The estimate. TooMuch when it does not fit the machine's memory, its disk or ``seconds``, with what would."""
    found = estimate(work, speed)
    problems = _problems(found, machine, seconds)
    if problems:
        help_ = [text for lever in _levers(work) if (text := _advice(lever, speed, machine, seconds)) is not None]
        advice = f"; {', or '.join(help_)}" if help_ else ""
        raise TooMuch(f"this training does not fit: {' and '.join(problems)}{advice}")
    return found


def _problems(found: Estimate, machine: Machine, seconds: float) -> list[str]:
    problems = []
    if found.memory > machine.memory:
        problems.append(f"it needs about {_size(found.memory)} of memory and {_size(machine.memory)} are free")
    if found.disk > machine.disk:
        problems.append(f"it needs about {_size(found.disk)} on disk and {_size(machine.disk)} are free")
    if found.seconds > seconds:
        problems.append(f"it would take about {spoken(found.seconds)}; {_SETTING}HOURS allows {spoken(seconds)}")
    return problems


def _levers(work: Work) -> list[_Lever]:
    def images(count: int) -> Work:
        share = count / work.learn
        kept = min(work.kept, count)
        smaller = replace(work, learn=count, test=math.ceil(work.test * share), kept=kept)
        pool = min(work.pool, max(kept, math.ceil(work.pool * kept / work.kept)))
        return replace(smaller, masked=math.ceil(work.masked * kept / work.kept), pool=pool)

    def kept(count: int) -> Work:
        return replace(
            images(work.learn), kept=count, masked=math.ceil(work.masked * count / work.kept), pool=2 * count
        )

    def steps(count: int) -> Work:
        return replace(work, steps=round(count * work.times))

    def size(percent: int) -> Work:
        area = (percent / 100) ** 2
        return replace(work, image=work.image * area, tensor=work.tensor * area)

    levers = [_Lever("give at most {} training images", work.learn, 20, images)]
    if work.kind == "anomaly":
        levers.append(_Lever(f"set {_SETTING}EXAMPLES to at most {{}}", work.kept, 100, kept))
    if work.kind == "object-detection":
        levers.append(
            _Lever(f"set {_SETTING}DETECTION_ITERATIONS to at most {{}}", round(work.steps / work.times), 100, steps)
        )
        levers.append(_Lever("bring the images to {} % of their width and height", 100, 25, size))
    return levers


def _advice(lever: _Lever, speed: Speed, machine: Machine, seconds: float) -> str | None:
    """What to bring the lever to, None where that alone does not help."""

    def fits(value: int) -> bool:
        return not _problems(estimate(lever.change(value), speed), machine, seconds)

    if lever.now <= lever.least or not fits(lever.least):
        return None
    low, high = lever.least, lever.now
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return lever.text.format(low)


def spoken(seconds: float) -> str:
    """A duration in words: ``40 s``, ``12 min``, ``3.5 h``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def _size(count: float) -> str:
    return f"{count / MB:.0f} MB" if count < 1000 * MB else f"{count / MB / 1000:.1f} GB"
