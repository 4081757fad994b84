"""A classifier of whole images, from annotated ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from timm.models import EfficientNet

from vigia_runtime.logging import get_logger
from vigia_training.app.images import Read, in_order
from vigia_training.app.label_data import LabelData, Learnt
from vigia_training.app.train import Options, Task
from vigia_training.domain.annotations import Annotation
from vigia_training.domain.errors import BadData
from vigia_training.domain.label_split import split_labelled
from vigia_training.learning import parallel
from vigia_training.learning.backbone import load_network
from vigia_training.learning.classification import trainer as classification
from vigia_training.learning.classification.measure import measures
from vigia_training.learning.classification.network import KEPT, Classifier
from vigia_training.learning.classification.trainer import Labelled
from vigia_training.learning.device import device_of
from vigia_training.learning.graph import exported, finished
from vigia_training.learning.precision import Trial, choose_whole
from vigia_vision.manifest import SCALED, InputContract
from vigia_vision.prepare import squash_scaled

#: Pixels of a classifier's tensor: what its network was pretrained with.
CLASSIFIER_SIDE = 224
#: Share of the training images on which candidates are compared.
_HELD = 0.25
#: Of those, so many at most say what int8 costs.
_MOST_TRIED = 300
_OUTPUTS = ("score", "confidences")

log = get_logger(__name__)


def learn_classifier(
    data: LabelData, read: Read, task: Task, options: Options, tell: Callable[[float], None]
) -> Learnt:
    """Learns; ``tell`` hears the share done."""
    parallel.part()  # it is too short for several processes
    index = {name: number for number, name in enumerate(data.labels)}

    def load(one: Annotation) -> Labelled:
        labels = np.zeros(len(index), np.float32)
        labels[[index[name] for name in one.labels]] = 1
        return Labelled(squash_scaled(read(one.uri), CLASSIFIER_SIDE, CLASSIFIER_SIDE), labels)

    images = list(in_order(load, data.learn))
    given = load_network(options.backbone_name, options.backbone_file)
    if not isinstance(given.network, EfficientNet):
        raise BadData(f"VIGIA_TRAINING_LEARNING__BACKBONE is {options.backbone_name}; classifiers need an EfficientNet")
    device = device_of(options.device)
    _, held = split_labelled([one.labels for one in data.learn], task.seed, _HELD, data.groups)
    exclusive = data.kind == "classification"
    fitted = classification.fit(
        given, images, held, exclusive, options.classification, task.seed, device, tell, options.checkpoints
    )
    graph, outputs = exported(fitted.classifier, CLASSIFIER_SIDE, CLASSIFIER_SIDE, _OUTPUTS)
    tried = np.random.default_rng(0).permutation(held)[:_MOST_TRIED]
    trial = _trial(fitted.trial, [images[i] for i in tried.tolist()], exclusive)
    choice = choose_whole(options.precision, graph, trial, [image.pixels for image in images], options.threads, KEPT)
    log.info("precision chosen", precision=choice.precision, reason=choice.reason, speedup=round(choice.speedup, 2))
    sizes = [data.sizes[one.uri] for one in data.learn]
    budget = options.classification
    return Learnt(
        finished(choice.graph, task.arn),
        outputs,
        InputContract(
            width=CLASSIFIER_SIDE,
            height=CLASSIFIER_SIDE,
            image_width=max(size[0] for size in sizes),
            image_height=max(size[1] for size in sizes),
            any_size=True,
            preparation=SCALED,
        ),
        {
            "backbone_sha256": given.digest,
            "budget": f"{budget.pool_size(len(images))} images, {budget.iterations} iterations",
            "candidate": fitted.choice,
            "precision": f"{choice.precision}: {choice.reason}",
        },
    )


def _trial(classifier: Classifier, held: Sequence[Labelled], exclusive: bool) -> Trial:
    truth = np.stack([image.labels for image in held]) if held else np.zeros((0, 0), np.float32)
    return Trial(
        lambda: exported(classifier, CLASSIFIER_SIDE, CLASSIFIER_SIDE, _OUTPUTS)[0],
        [image.pixels for image in held],
        lambda said: measures(said["confidences"], truth, exclusive),
    )
