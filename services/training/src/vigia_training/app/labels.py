"""Trains one version of a model that gives labels: whole images' labels, or boxes around objects."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import torch
from PIL import Image

from vigia_contracts.training import ModelMetrics
from vigia_training.app.images import Read, in_order
from vigia_training.app.train import Options, Progress, Result, Task
from vigia_training.domain.annotations import Annotation, kind_of, labels_in, parse_annotations, usable
from vigia_training.domain.errors import BadData
from vigia_training.domain.label_evaluation import Examined, measure_labels, snapshot, summary
from vigia_training.domain.label_split import split_labelled
from vigia_training.domain.palette import coloured
from vigia_training.domain.scale import detector_size
from vigia_training.learning.backbone import load_backbone, load_network
from vigia_training.learning.classification import trainer as classification
from vigia_training.learning.classification.trainer import Labelled
from vigia_training.learning.detection import trainer as detection
from vigia_training.learning.detection.crops import Annotated, Variation
from vigia_training.learning.detection.network import FLOOR, Graph
from vigia_training.learning.graph import to_onnx
from vigia_vision import Artifact, DecodeError, Manifest, Session, decode, probe
from vigia_vision.artifact import MODEL_FILE, npy
from vigia_vision.decode import Pixels
from vigia_vision.manifest import LETTERBOX, Decision, Golden, InputContract, LabelKind, TensorSpec, Threshold
from vigia_vision.prepare import fitted, letterbox_area, prepare, squash_area
from vigia_vision.session import first

#: Where each stage begins and ends in the whole job, by experience.
_STAGES = {"reading": (0.0, 0.03), "training": (0.03, 0.95), "exporting": (0.95, 0.96), "evaluating": (0.96, 1.0)}
_MOST_PROBLEMS = 10
_LEAST_SIDE = 64
_GOLDEN = 4
_GOLDEN_BYTES = 256 * 1024
#: Scores of golden samples keep this distance from each other and from the floor, so that rounding changes no order.
_APART = 2e-4
#: Boxes whose shorter side is under so many pixels at the model's resolution are hardly seen.
_TINY = 4.0
#: Pixels of a classifier's tensor: what its network was pretrained with.
_CLASSIFIER_SIDE = 224
#: Share of the training images on which candidates are compared.
_HELD = 0.25


@dataclass(frozen=True, slots=True)
class _Data:
    """What there is to learn from and to test with, all of it checked."""

    kind: LabelKind
    labels: tuple[str, ...]
    learn: list[Annotation]
    test: list[Annotation]
    sizes: dict[str, tuple[int, int]]  # of every image by its address, width and height


@dataclass(frozen=True, slots=True)
class _Learnt:
    """A graph and what it takes."""

    model: bytes
    outputs: tuple[TensorSpec, ...]
    input: InputContract
    provenance: dict[str, str]


def train_labels(task: Task, read: Read, options: Options, progress: Progress) -> Result:
    """Runs the whole training. BadData names what the customer has to put right; all else is a bug or the machine."""

    def tell(stage: str, share: float) -> None:
        begin, end = _STAGES[stage]
        progress(stage, begin * (1 - share) + end * share)

    torch.set_num_threads(options.threads)
    torch.manual_seed(task.seed)
    data = _datasets(task, read, lambda share: tell("reading", share))
    learn = _detector if data.kind == "object-detection" else _classifier
    learnt = learn(data, read, task, options, lambda share: tell("training", share))
    tell("exporting", 0)
    draft = Manifest(
        kind=data.kind,
        labels=coloured(data.labels),
        input=learnt.input,
        outputs=learnt.outputs,
        threshold=Threshold(value=0.5),
        decision=Decision(label_thresholds=(0.5,) * len(data.labels)),
        provenance={**_provenance(task, options), **learnt.provenance},
    )
    session = Session(Artifact.build(draft, {MODEL_FILE: learnt.model}), options.threads)
    results: list[Examined] = []
    for annotation in data.test:
        results.append(Examined(annotation, *data.sizes[annotation.uri], session.find(read(annotation.uri), 0.0)))
        tell("evaluating", len(results) / len(data.test))
    metrics = measure_labels(results, data.labels, data.kind, len(data.learn))
    golden, files = _golden(data.test, read, session)
    thresholds = tuple(label.threshold for label in metrics.labels)
    manifest = draft.model_copy(
        update={
            "golden": golden,
            "metrics": _numbers(metrics),
            # Something is found from the lowest of the labels' thresholds on.
            "threshold": Threshold(value=min(thresholds)),
            "decision": Decision(label_thresholds=thresholds),
        }
    )
    at = datetime.now(UTC)
    by_name = dict(zip(data.labels, thresholds, strict=True))
    return Result(
        artifact=Artifact.build(manifest, {MODEL_FILE: learnt.model, **files}),
        metrics=metrics,
        evaluation_manifest=snapshot(results, data.labels, data.kind, by_name, at),
        evaluation_result=summary(results, metrics, data.kind, task.arn, at),
    )


def _datasets(task: Task, read: Read, tell: Callable[[float], None]) -> _Data:
    """Both datasets, every image read once: bad ones fail the job before the long part, several named at once."""
    given = parse_annotations(task.training_manifest)
    kind = kind_of(given)
    learn = usable(given, kind)
    if task.test_manifest is not None:
        test = usable(parse_annotations(task.test_manifest), kind)
    else:
        learning, testing = split_labelled([one.names(kind) for one in learn], task.seed)
        learn, test = [learn[i] for i in learning], [learn[i] for i in testing]
    labels = labels_in(learn, kind)
    if not test:
        raise BadData(f"there are no images to test with that are labelled for {kind}")
    if not any(name in labels for one in test for name in one.names(kind)):
        raise BadData("the test images have none of the training images' labels")
    sizes: dict[str, tuple[int, int]] = {}
    problems: list[str] = []
    images = list({one.uri: one for one in [*learn, *test]}.values())
    for number, size in enumerate(in_order(lambda one: _checked(one, read), images), 1):
        if isinstance(size, BadData):
            problems.append(str(size))
            if len(problems) == _MOST_PROBLEMS:
                break
        else:
            sizes[images[number - 1].uri] = size
        tell(number / len(images))
    if problems:
        many = f"{len(problems)}{' or more' if len(problems) == _MOST_PROBLEMS else ''} images cannot be used: "
        raise BadData((many if len(problems) > 1 else "") + "; ".join(problems))
    return _Data(kind, labels, learn, test, sizes)


def _checked(annotation: Annotation, read: Read) -> tuple[int, int] | BadData:
    """Width and height of an image that decodes and is what the manifest says."""
    try:
        high, wide = _pixels(annotation, read).shape[:2]
    except BadData as error:
        return error
    if min(wide, high) < _LEAST_SIDE:
        least = f"at least {_LEAST_SIDE}x{_LEAST_SIDE} are needed"
        return BadData(f"image {annotation.uri}: {wide}x{high} pixels; {least}")
    if annotation.size is not None and annotation.size != (wide, high):
        return BadData(
            f"image {annotation.uri}: {wide}x{high} pixels; manifest line {annotation.line} gives its boxes for "
            f"{annotation.size[0]}x{annotation.size[1]}"
        )
    return wide, high


def _pixels(annotation: Annotation, read: Read) -> Pixels:
    try:
        return decode(read(annotation.uri))
    except DecodeError as error:
        raise BadData(f"image {annotation.uri}: {error}") from error
    except BadData as error:
        raise BadData(f"image {error}") from error


def _detector(data: _Data, read: Read, task: Task, options: Options, tell: Callable[[float], None]) -> _Learnt:
    sizes = [data.sizes[one.uri] for one in data.learn]
    width, height = detector_size(sizes, [[(b.width, b.height) for b in one.boxes or ()] for one in data.learn])
    index = {name: number for number, name in enumerate(data.labels)}

    def load(one: Annotation) -> Annotated:
        pixels = _pixels(one, read)
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
    return _Learnt(
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


def _classifier(data: _Data, read: Read, task: Task, options: Options, tell: Callable[[float], None]) -> _Learnt:
    index = {name: number for number, name in enumerate(data.labels)}

    def load(one: Annotation) -> Labelled:
        labels = np.zeros(len(index), np.float32)
        labels[[index[name] for name in one.labels]] = 1
        return Labelled(squash_area(_pixels(one, read), _CLASSIFIER_SIDE, _CLASSIFIER_SIDE), labels)

    images = list(in_order(load, data.learn))
    given = load_network(options.backbone_name, options.backbone_file)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    _, held = split_labelled([one.labels for one in data.learn], task.seed, _HELD)
    exclusive = data.kind == "classification"
    fitted = classification.fit(given, images, held, exclusive, options.classification, task.seed, device, tell)
    names = ("score", "confidences")
    model, outputs = to_onnx(fitted.classifier, _CLASSIFIER_SIDE, _CLASSIFIER_SIDE, names, task.arn)
    sizes = [data.sizes[one.uri] for one in data.learn]
    budget = options.classification
    return _Learnt(
        model,
        outputs,
        InputContract(
            width=_CLASSIFIER_SIDE,
            height=_CLASSIFIER_SIDE,
            image_width=max(size[0] for size in sizes),
            image_height=max(size[1] for size in sizes),
            any_size=True,
        ),
        {
            "backbone_sha256": given.digest,
            "budget": f"{budget.pool_size(len(images))} images, {budget.iterations} iterations",
            "candidate": fitted.choice,
        },
    )


def _shorter(boxes: np.ndarray) -> np.ndarray:
    sides: np.ndarray = np.minimum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    return sides


def _golden(test: Sequence[Annotation], read: Read, session: Session) -> tuple[tuple[Golden, ...], dict[str, bytes]]:
    """Test images that show something and whose numbers rounding cannot reorder, with what the graph gives for them."""
    golden: list[Golden] = []
    files: dict[str, bytes] = {}
    spare: tuple[bytes, dict[str, np.ndarray]] | None = None
    for annotation in test:
        if len(golden) == _GOLDEN:
            break
        data = _small(read(annotation.uri))
        outputs = first(session.infer(prepare(data, session.manifest).tensor[None]))
        spare = spare or (data, outputs)
        if _steady(outputs):
            _add(golden, files, data, outputs, session.manifest.threshold.value)
    if not golden and spare is not None:
        _add(golden, files, *spare, session.manifest.threshold.value)
    return tuple(golden), files


def _steady(outputs: dict[str, np.ndarray]) -> bool:
    scores = outputs.get("scores")
    if scores is None:
        return True
    used = scores[scores > 0]
    return bool(len(used)) and bool(np.all(-np.diff(used, append=FLOOR) > _APART))


def _add(
    golden: list[Golden], files: dict[str, bytes], data: bytes, outputs: dict[str, np.ndarray], threshold: float
) -> None:
    number = len(golden) + 1
    name = f"golden/{number}.{'jpg' if probe(data).format == 'jpeg' else 'png'}"
    files[name] = data
    files |= {f"golden/{number}.{output}.npy": npy(values) for output, values in outputs.items()}
    golden.append(
        Golden(
            file=name,
            outputs={output: f"golden/{number}.{output}.npy" for output in outputs},
            is_anomalous=bool(np.asarray(outputs["score"]).item() >= threshold),
        )
    )


def _small(data: bytes) -> bytes:
    if len(data) <= _GOLDEN_BYTES:
        return data
    file = io.BytesIO()
    Image.fromarray(decode(data)).save(file, "JPEG", quality=85)
    return file.getvalue()


def _numbers(metrics: ModelMetrics) -> dict[str, float]:
    return metrics.model_dump(include={"precision", "recall", "f1", "average_precision"})


def _provenance(task: Task, options: Options) -> dict[str, str]:
    return {
        "model_arn": task.arn,
        "seed": str(task.seed),
        "training_manifest_sha256": hashlib.sha256(task.training_manifest).hexdigest(),
        "test_manifest_sha256": hashlib.sha256(task.test_manifest).hexdigest() if task.test_manifest else "",
        "backbone": options.backbone_name,
        "torch": torch.__version__,
    }
