"""A detector of objects, from annotated images."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from vigia_runtime.logging import get_logger
from vigia_training.app.images import Read, in_order
from vigia_training.app.label_data import LabelData, Learnt, pixels_of
from vigia_training.app.train import Options, Task
from vigia_training.domain.label_split import split_labelled
from vigia_training.domain.scale import TINY, detector_size, tiny
from vigia_training.learning import parallel
from vigia_training.learning.backbone import load_backbone
from vigia_training.learning.detection import trainer as detection
from vigia_training.learning.detection.annotated import Annotated
from vigia_training.learning.detection.crops import Variation
from vigia_training.learning.detection.keeping import Keeping, room
from vigia_training.learning.detection.network import Graph
from vigia_training.learning.device import device_of
from vigia_training.learning.graph import to_onnx
from vigia_vision.manifest import LETTERBOX, InputContract
from vigia_vision.prepare import fitted, letterbox_area

log = get_logger(__name__)

#: Of the images that were given, more than so many are always learnt from.
_LEAST_SHARE = 0.001


def learn_detector(data: LabelData, read: Read, task: Task, options: Options, tell: Callable[[float], None]) -> Learnt:
    """Learns; ``tell`` hears the share done."""
    sizes = [data.sizes[one.uri] for one in data.learn]
    objects = [[(b.width, b.height) for b in one.boxes or ()] for one in data.learn]
    width, height = detector_size(sizes, objects)
    inner = [fitted(*size, width, height) for size in sizes]
    weights = [3 * wide * high for wide, high in inner]
    chosen = fitting([one.names(data.kind) for one in data.learn], weights, room(), task.seed)
    warnings = _warnings(data, objects, (width, height), len(chosen))
    for warning in warnings:
        log.warning("the images may teach less than they should", model_arn=task.arn, warning=warning)
    index = {name: number for number, name in enumerate(data.labels)}

    def load(number: int) -> Annotated:
        one, (wide, high) = data.learn[number], inner[number]
        ratio = np.array([wide / sizes[number][0], high / sizes[number][1]] * 2, np.float32)
        corners = [(b.left, b.top, b.left + b.width, b.top + b.height) for b in one.boxes or ()]
        return Annotated(
            letterbox_area(pixels_of(one, read), width, height)[:high, :wide].copy(),
            np.reshape(np.asarray(corners, np.float32), (-1, 4)) * ratio,
            np.asarray([index[b.label] for b in one.boxes or ()], np.int64),
            np.zeros((0, 4), np.float32),
        )

    keeping = Keeping([weights[number] for number in chosen])
    images = [keeping.keep(image) for image in in_order(load, chosen)]
    backbone = load_backbone(options.backbone_name, options.backbone_file)
    device = device_of(options.device)
    budget = options.detection.of(len(images))
    detector = detection.fit(
        backbone, images, len(data.labels), budget, Variation(), task.seed, device, tell, options.checkpoints
    )
    parallel.part()
    detector.backbone = detector.backbone.sized(height, width)
    names = ("score", "boxes", "scores", "classes")
    model, outputs = to_onnx(Graph(detector, height, width).eval(), width, height, names, task.arn)
    side, batch = detection.views(images, budget)
    return Learnt(
        model,
        outputs,
        InputContract(
            width=width,
            height=height,
            image_width=max(size[0] for size in sizes),
            image_height=max(size[1] for size in sizes),
            any_size=True,
            preparation=LETTERBOX,
        ),
        {
            "backbone_sha256": backbone.digest,
            "budget": f"{budget.iterations} iterations of {batch} crops of {side} pixels",
            "boxes": f"{sum(len(image.boxes) for image in images)} in {len(images)} images",
        },
        warnings,
    )


def fitting(labels: Sequence[Sequence[str]], weights: Sequence[int], most: int, seed: int) -> list[int]:
    """Indices, ascending, of images that together weigh at most ``most``: all, or as many of each label at random.

    Every label keeps an image, whatever it weighs.
    """
    everything = list(range(len(weights)))
    if sum(weights) <= most:
        return everything
    share = most / sum(weights)
    while True:
        left, _ = split_labelled(labels, seed, 1 - share)
        missing = {name for names in labels for name in names} - {name for index in left for name in labels[index]}
        firsts = {next(index for index in everything if name in labels[index]) for name in missing}
        chosen = sorted({*left, *firsts})
        if sum(weights[index] for index in chosen) <= most or share < _LEAST_SHARE:
            return chosen
        share *= 0.95


def _warnings(
    data: LabelData, objects: Sequence[Sequence[tuple[float, float]]], tensor: tuple[int, int], learnt: int
) -> tuple[str, ...]:
    """What the user should know before the long part."""
    warnings = []
    count, images = tiny([data.sizes[one.uri] for one in data.learn], objects, tensor)
    if count:
        warnings.append(
            f"{count} of {sum(map(len, objects))} labelled objects, in {images} images, are under {TINY:g} pixels on "
            f"their shorter side at the model's resolution, {tensor[0]}x{tensor[1]}: few such objects will be found; "
            "images that show less at once would show them larger"
        )
    if learnt < len(data.learn):
        warnings.append(f"{learnt} of {len(data.learn)} training images, chosen at random, were learnt from")
    return tuple(warnings)
