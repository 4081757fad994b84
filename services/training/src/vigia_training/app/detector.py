"""A detector of objects, from annotated images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from vigia_training.app.images import Read, in_order
from vigia_training.app.label_data import LabelData, Learnt, pixels_of
from vigia_training.app.train import Options, Task
from vigia_training.domain.annotations import Annotation
from vigia_training.domain.scale import detector_size
from vigia_training.learning.backbone import load_backbone
from vigia_training.learning.detection import trainer as detection
from vigia_training.learning.detection.crops import Annotated, Variation
from vigia_training.learning.detection.network import Graph
from vigia_training.learning.graph import to_onnx
from vigia_vision.manifest import LETTERBOX, InputContract
from vigia_vision.prepare import fitted, letterbox_area

#: Boxes whose shorter side is under so many pixels at the model's resolution are hardly seen.
_TINY = 4.0


def learn_detector(data: LabelData, read: Read, task: Task, options: Options, tell: Callable[[float], None]) -> Learnt:
    """Learns; ``tell`` hears the share done."""
    sizes = [data.sizes[one.uri] for one in data.learn]
    width, height = detector_size(sizes, [[(b.width, b.height) for b in one.boxes or ()] for one in data.learn])
    index = {name: number for number, name in enumerate(data.labels)}

    def load(one: Annotation) -> Annotated:
        pixels = pixels_of(one, read)
        high, wide = pixels.shape[:2]
        inner = fitted(wide, high, width, height)
        ratio = np.array([inner[0] / wide, inner[1] / high] * 2, np.float32)
        corners = [(b.left, b.top, b.left + b.width, b.top + b.height) for b in one.boxes or ()]
        return Annotated(
            letterbox_area(pixels, width, height)[: inner[1], : inner[0]],
            np.reshape(np.asarray(corners, np.float32), (-1, 4)) * ratio,
            np.asarray([index[b.label] for b in one.boxes or ()], np.int64),
            np.zeros((0, 4), np.float32),
        )

    images = list(in_order(load, data.learn))
    backbone = load_backbone(options.backbone_name, options.backbone_file)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    detector = detection.fit(
        backbone, images, len(data.labels), options.detection, Variation(), task.seed, device, tell
    )
    names = ("score", "boxes", "scores", "classes")
    model, outputs = to_onnx(Graph(detector, height, width).eval(), width, height, names, task.arn)
    tiny = sum(int((_shorter(image.boxes) < _TINY).sum()) for image in images)
    budget = options.detection
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
            "boxes": f"{sum(len(image.boxes) for image in images)}, {tiny} of them under {_TINY:g} pixels",
        },
    )


def _shorter(boxes: np.ndarray) -> np.ndarray:
    sides: np.ndarray = np.minimum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    return sides
