"""A locator of logos in scenes, from images of the logos alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from PIL import Image

from vigia_training.app.images import Read, in_order
from vigia_training.app.label_data import LabelData, Learnt, pixels_of
from vigia_training.app.train import Options, Task
from vigia_training.domain.annotations import Annotation
from vigia_training.domain.errors import BadData
from vigia_training.domain.scale import detector_size
from vigia_training.learning import parallel
from vigia_training.learning.backbone import load_backbone
from vigia_training.learning.brand.cutout import Cutout, cut_out
from vigia_training.learning.brand.scenes import Logo, Scenes
from vigia_training.learning.detection import trainer as detection
from vigia_training.learning.detection.crops import Variation
from vigia_training.learning.detection.network import Graph
from vigia_training.learning.device import device_of
from vigia_training.learning.graph import to_onnx
from vigia_training.learning.label_budget import DetectionBudget
from vigia_vision.decode import Pixels, opacity
from vigia_vision.manifest import LETTERBOX, InputContract

#: Cut-outs that are kept, at most: each takes up to 320 kB.
_MOST_LOGOS = 1024
#: Photographs without logos that are kept, at most, and the longer side of each, pixels.
_MOST_PHOTOGRAPHS = 200
_PHOTOGRAPH = 640
#: Scenes that are in memory at most: half a megabyte each.
_MOST_SCENES = 256
#: Sides of a scene in sides of the crop that is learnt from it.
_SCENE = 1.25
#: Logos have a right way up, and scenes come with their own light, blur and noise.
_VARIATION = Variation(turn=False, flip=False, mosaic=0.1, resample=0.5, paste=0.0)


def learn_brand(data: LabelData, read: Read, task: Task, options: Options, tell: Callable[[float], None]) -> Learnt:
    """Learns; ``tell`` hears the share done. BadData for images that show nothing."""
    index = {name: number for number, name in enumerate(data.labels)}
    chosen = _chosen(data, task.seed)
    cutouts = list(in_order(lambda one: _cutout(one, read), chosen))
    logos = [Logo(cutout, index[one.labels[0]]) for one, cutout in zip(chosen, cutouts, strict=True)]
    budget = _budget(options.detection)
    photographs = list(in_order(lambda one: _photograph(one, read), _photographs(data, task.seed)))
    count = min(_MOST_SCENES, budget.iterations * budget.batch)
    scenes = Scenes(logos, photographs, count, round(budget.crop * _SCENE), task.seed)
    # Nothing is known of the scenes to come but what the test images' sizes say.
    sizes = [data.sizes[one.uri] for one in data.test]
    width, height = detector_size(sizes, [[] for _ in sizes])
    backbone = load_backbone(options.backbone_name, options.backbone_file)
    device = device_of(options.device)
    detector = detection.fit(
        backbone, scenes, len(data.labels), budget, _VARIATION, task.seed, device, tell, options.checkpoints
    )
    parallel.part()
    detector.backbone = detector.backbone.sized(height, width)
    names = ("score", "boxes", "scores", "classes")
    model, outputs = to_onnx(Graph(detector, height, width).eval(), width, height, names, task.arn)
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
            "budget": f"{budget.iterations} iterations of {budget.batch} crops of {budget.crop} pixels",
            "learnt_from": f"{len(logos)} images of logos alone, in drawn scenes over {len(photographs)} photographs",
        },
    )


def _budget(detection: DetectionBudget) -> DetectionBudget:
    """Larger crops than a detector's, as many pixels at a time: logos may fill much of a scene."""
    crop = max(64, detection.crop * 5 // 4 // 32 * 32)
    return replace(detection, crop=crop, batch=max(1, round(detection.batch * detection.crop**2 / crop**2)))


def _chosen(data: LabelData, seed: int) -> list[Annotation]:
    """Images to cut logos out of: as many of each label as there is room for, at random if there are more."""
    share = _MOST_LOGOS // len(data.labels)
    shown = [one for one in data.learn if one.labels]
    order = np.random.default_rng(seed).permutation(len(shown)).tolist()
    kept = dict.fromkeys(data.labels, 0)
    chosen = []
    for number in order:
        (label,) = shown[number].labels
        kept[label] += 1
        if kept[label] <= share:
            chosen.append(number)
    return [shown[number] for number in sorted(chosen)]


def _photographs(data: LabelData, seed: int) -> list[Annotation]:
    """Training images in which there is no logo."""
    empty = [one for one in data.learn if not one.labels]
    order = np.random.default_rng(seed).permutation(len(empty))[:_MOST_PHOTOGRAPHS].tolist()
    return [empty[number] for number in sorted(order)]


def _photograph(annotation: Annotation, read: Read) -> Pixels:
    image = Image.fromarray(pixels_of(annotation, read))
    image.thumbnail((_PHOTOGRAPH, _PHOTOGRAPH), Image.Resampling.BOX)
    return np.asarray(image)


def _cutout(annotation: Annotation, read: Read) -> Cutout:
    cutout = cut_out(pixels_of(annotation, read), opacity(read(annotation.uri)))
    if cutout is None:
        raise BadData(f"image {annotation.uri}: it has one colour all over; there is no logo in it")
    return cutout
