"""Before the long part: what there is to do, how fast this machine is, and so what the training will take."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from vigia_training.app.any_kind import wants
from vigia_training.app.classifier import CLASSIFIER_SIDE
from vigia_training.app.images import Read
from vigia_training.app.train import Options, Task
from vigia_training.app.validation import Datasets
from vigia_training.domain.annotations import Annotation, kind_of, labels_in, parse_annotations, shows_logos, usable
from vigia_training.domain.dataset import parse_manifest
from vigia_training.domain.errors import BadData
from vigia_training.domain.estimate import MB, Estimate, Machine, Speed, Work, check
from vigia_training.domain.scale import detector_size
from vigia_training.domain.size import tensor_size
from vigia_training.domain.split import TEST_SHARE
from vigia_training.domain.text import whole
from vigia_training.learning.backbone import STRIDES, Backbone, load_backbone
from vigia_training.learning.detection.keeping import MEMORY
from vigia_training.learning.trainer import MIN_ANOMALOUS
from vigia_vision import DecodeError, decode
from vigia_vision.manifest import LabelKind
from vigia_vision.prepare import squash_area

#: Images that are loaded to see how large they are and how long it takes.
_LOOKED_AT = 8
#: Of the probe that measures the network's speed.
_SIDE, _BATCH, _ROUNDS = 256, 4, 3
#: Bytes of a number of the pool.
_HALF = 2


@dataclass(frozen=True, slots=True)
class _Look:
    """Some images: width and height of each, and seconds that the usual one took to load."""

    sizes: list[tuple[int, int]]
    seconds: float


def preflight(task: Task, read: Read, options: Options, machine: Machine, seconds: float) -> Estimate | None:
    """What the training will take; None where the training itself will say what is wrong.

    BadData as the training would raise it, and TooMuch where this machine cannot do it, within ``seconds``.
    """
    backbone = load_backbone(options.backbone_name, options.backbone_file)
    if not wants(task):
        return _checked(_judging(task, read, backbone, options), backbone, options, machine, seconds)
    given = parse_annotations(whole(task.training_manifest))
    tested = None if task.test_manifest is None else parse_annotations(whole(task.test_manifest))
    logos = tested is not None and shows_logos(given, tested)
    kind: LabelKind = "object-detection" if logos else kind_of(given)
    learn = given if logos else usable(given, kind)
    labels = labels_in(learn, kind, logos)
    testing = None if tested is None else len(usable(tested, kind))
    sketch = _labelling(learn, testing, len(labels), kind, read, backbone, options)
    return _checked(sketch, backbone, options, machine, seconds)


def preflight_datasets(
    datasets: Datasets, read: Read, options: Options, machine: Machine, seconds: float
) -> Estimate | None:
    """The same of a Custom Labels training, by the lines of its manifests."""
    cases, testing = datasets.cases, datasets.testing
    learn = cases.learnable(datasets.training.valid)
    labels = len(cases.taught(learn))
    if labels < cases.least_labels:
        return None
    backbone = load_backbone(options.backbone_name, options.backbone_file)
    tested = None if testing is None else len(usable(testing.valid, cases.kind))
    sketch = _labelling(learn, tested, labels, cases.kind, read, backbone, options)
    return _checked(sketch, backbone, options, machine, seconds)


def _checked(
    sketch: tuple[Work, float] | None, backbone: Backbone, options: Options, machine: Machine, seconds: float
) -> Estimate | None:
    if sketch is None:
        return None
    work, load = sketch
    speed = Speed(load, _network_speed(backbone, options.threads), options.threads)
    return check(work, speed, machine, seconds)


def _look(uris: Sequence[str], read: Read) -> _Look | None:
    chosen = [uris[i] for i in np.unique(np.linspace(0, len(uris) - 1, _LOOKED_AT).astype(int))] if uris else []
    sizes, took = [], []
    for uri in chosen:
        began = time.perf_counter()
        try:
            data = read(uri)
            waited, busy = time.perf_counter() - began, time.thread_time()
            pixels = decode(data)
        except (BadData, DecodeError):
            continue
        high, wide = pixels.shape[:2]
        squash_area(pixels, *tensor_size(wide, high))
        sizes.append((wide, high))
        took.append(waited + time.thread_time() - busy)
    return _Look(sizes, float(np.median(took))) if sizes else None


def _network_speed(backbone: Backbone, threads: int) -> float:
    """Seconds for a megapixel on idle cores, by a short run of the network that will be used.

    Its processor time is measured: what else the machine does at this moment says little of the time of the training.
    """
    torch.set_num_threads(threads)
    images = torch.zeros(_BATCH, _SIDE, _SIDE, 3, dtype=torch.uint8)
    backbone = backbone.to(memory_format=torch.channels_last)
    took = []
    with torch.inference_mode():
        for _ in range(_ROUNDS):
            began = time.process_time()
            backbone(images)
            took.append(time.process_time() - began)
    return min(took) / threads / (_BATCH * _SIDE * _SIDE / MB)


def _divided(learn: int, test: int | None) -> tuple[int, int]:
    """Images that teach and that test."""
    if test is not None:
        return learn, test
    testing = round(TEST_SHARE * learn)
    return learn - testing, testing


def _judging(task: Task, read: Read, backbone: Backbone, options: Options) -> tuple[Work, float] | None:
    """What there is to do, and the seconds that an image takes to load; None where no image can be looked at."""
    learn = parse_manifest(whole(task.training_manifest))
    look = _look([entry.uri for entry in learn], read)
    if look is None:
        return None
    test = None if task.test_manifest is None else len(parse_manifest(whole(task.test_manifest)))
    count, testing = _divided(len(learn), test)
    anomalous = round(count / len(learn) * sum(entry.anomalous for entry in learn))
    kept = min(count, options.budget.examples)
    width, height = tensor_size(*look.sizes[0])
    labels = {name for entry in learn if entry.mask for name in entry.mask.labels.values()}
    supervised = anomalous >= MIN_ANOMALOUS
    budget = options.budget if supervised else options.budget.of_one_class()
    work = Work(
        kind="anomaly",
        learn=count,
        test=testing,
        kept=kept,
        masked=min(anomalous, kept) if labels else 0,
        labels=len(labels),
        pool=budget.pool_size(kept if supervised else min(kept, count - anomalous)),
        steps=budget.folds * budget.fold_iterations + budget.iterations,
        batch=16 * width * height / MB,
        image=_largest(look),
        tensor=width * height / MB,
        features=MB * sum(c / s**2 for c, s in zip(backbone.channels, STRIDES, strict=True)) * _HALF,
        weights=_weights(backbone),
    )
    return work, look.seconds


def _labelling(
    learn: Sequence[Annotation],
    tested: int | None,
    labels: int,
    kind: LabelKind,
    read: Read,
    backbone: Backbone,
    options: Options,
) -> tuple[Work, float] | None:
    """The same of a model that gives labels."""
    look = _look([one.uri for one in learn], read)
    if look is None:
        return None
    count, testing = _divided(len(learn), tested)
    work = Work(
        kind="classification",
        learn=count,
        test=testing,
        kept=count,
        masked=0,
        labels=labels,
        pool=2 * options.classification.pool_size(count),
        steps=2 * options.classification.iterations,
        batch=32 * CLASSIFIER_SIDE**2 / MB,
        image=_largest(look),
        tensor=CLASSIFIER_SIDE**2 / MB,
        features=MB * backbone.channels[2] / STRIDES[2] ** 2 * _HALF,
        weights=_weights(backbone),
    )
    if kind == "object-detection":
        sizes = [one.size or look.sizes[0] for one in learn]
        width, height = detector_size(sizes, [[(b.width, b.height) for b in one.boxes or ()] for one in learn])
        drawn = not any(one.boxes for one in learn)  # scenes are made, as many as there are steps
        budget = options.detection if drawn else options.detection.of(count)
        batch = budget.batch * budget.crop**2 / MB
        tensor = width * height / MB
        kept = min(count, max(1, MEMORY // (3 * width * height)))  # the rest lies in a file
        times = budget.iterations / options.detection.iterations
        work = replace(
            work, kind=kind, kept=kept, pool=0, steps=budget.iterations, times=times, batch=batch, tensor=tensor
        )
    return work, look.seconds


def _largest(look: _Look) -> float:
    return max(wide * high for wide, high in look.sizes) / MB


def _weights(backbone: Backbone) -> float:
    return float(sum(tensor.numel() * tensor.element_size() for tensor in backbone.state_dict().values()))
