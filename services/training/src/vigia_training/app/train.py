"""Trains one model version: manifests and images in, artifact and evaluation out."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from vigia_contracts.training import ModelMetrics
from vigia_runtime.logging import get_logger
from vigia_training.app.images import Geometry, Read, geometry_of, in_order, labels_of, load, load_truth
from vigia_training.domain.dataset import Entry, parse_manifest
from vigia_training.domain.errors import BadData
from vigia_training.domain.evaluation import Judged, evaluation_manifest, evaluation_result, judged, measure
from vigia_training.domain.split import split
from vigia_training.learning.backbone import load_backbone
from vigia_training.learning.budget import DEFAULT_BACKBONE, Budget, Precision
from vigia_training.learning.export import export_backbone, export_judge, join
from vigia_training.learning.features import Example
from vigia_training.learning.label_budget import ClassificationBudget, DetectionBudget
from vigia_training.learning.precision import Choice, choose
from vigia_training.learning.trainer import Fitted, fit
from vigia_vision import Artifact, Manifest, Session, decode, probe
from vigia_vision.artifact import MODEL_FILE, npy
from vigia_vision.manifest import Decision, Golden, InputContract, Label, TensorSpec, Threshold
from vigia_vision.prepare import prepare
from vigia_vision.session import first

log = get_logger(__name__)

#: Stage, share of the whole job that is done.
Progress = Callable[[str, float], None]

#: Where each stage begins and ends in the whole job, by experience.
_STAGES = {
    "reading": (0.0, 0.05),
    "features": (0.05, 0.3),
    "training": (0.3, 0.75),
    "exporting": (0.75, 0.95),
    "evaluating": (0.95, 1.0),
}
#: Golden samples of each class, and from how many bytes on they are compressed again.
_GOLDEN = 2
_GOLDEN_BYTES = 256 * 1024
#: Of wrong files, so many are named.
_MOST_PROBLEMS = 10


@dataclass(frozen=True, slots=True)
class Task:
    """What to train. Manifests are JSON Lines; without a test manifest some training images test."""

    arn: str
    project: str
    version: str
    training_manifest: bytes
    test_manifest: bytes | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Options:
    """How to train on this machine. ``threads``: cores to use. A backbone other than the packaged one is a file."""

    threads: int
    budget: Budget = field(default_factory=Budget)
    backbone_name: str = DEFAULT_BACKBONE
    backbone_file: Path | None = None
    precision: Precision = "auto"
    detection: DetectionBudget = field(default_factory=DetectionBudget)
    classification: ClassificationBudget = field(default_factory=ClassificationBudget)


@dataclass(frozen=True, slots=True)
class Result:
    """What a training gives: the artifact, its metrics, and the two evaluation files."""

    artifact: Artifact
    metrics: ModelMetrics
    evaluation_manifest: bytes
    evaluation_result: bytes


def train(task: Task, read: Read, options: Options, progress: Progress) -> Result:
    """Runs the whole training. BadData names what the customer has to put right; all else is a bug or the machine."""

    def tell(stage: str, share: float) -> None:
        begin, end = _STAGES[stage]
        progress(stage, begin * (1 - share) + end * share)

    torch.set_num_threads(options.threads)
    torch.manual_seed(task.seed)
    learn, test = _datasets(task)
    labels = labels_of(learn)
    geometry = geometry_of(learn[0], read)
    examples = _read(learn, test, read, geometry, labels, lambda share: tell("reading", share))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    backbone = load_backbone(options.backbone_name, options.backbone_file)
    fitted = fit(backbone, examples, len(labels), options.budget, task.seed, device, tell)
    tell("exporting", 0)
    choice = choose(
        options.precision,
        export_backbone(fitted.network.backbone, geometry.width, geometry.height),
        fitted,
        examples,
        options.threads,
    )
    log.info("precision chosen", precision=choice.precision, reason=choice.reason, speedup=round(choice.speedup, 2))
    fitted.network.calibration = fitted.network.calibration.moved(choice.shift)
    judge = export_judge(fitted.network, geometry.width, geometry.height)
    model, outputs = join(choice.backbone, judge, task.arn), judge.outputs
    provenance = _provenance(task, options, backbone.digest, choice)
    draft = _manifest(geometry, labels if fitted.pixel_thresholds else (), fitted, outputs, provenance)
    session = Session(Artifact.build(draft, {MODEL_FILE: model}), options.threads)
    results = []
    for result in _evaluate(test, read, session, geometry):
        results.append(result)
        tell("evaluating", len(results) / len(test))
    metrics = measure(results, [label.name for label in draft.labels], len(learn))
    golden, files = _golden(results, read, session)
    numbers = metrics.model_dump(include={"precision", "recall", "f1", "roc_auc", "average_precision"})
    manifest = draft.model_copy(update={"golden": golden, "metrics": numbers})
    at = datetime.now(UTC)
    return Result(
        artifact=Artifact.build(manifest, {MODEL_FILE: model, **files}),
        metrics=metrics,
        evaluation_manifest=evaluation_manifest(results, task.arn, task.project, task.version, at),
        evaluation_result=evaluation_result(metrics, bool(draft.labels), task.arn, at),
    )


def _datasets(task: Task) -> tuple[list[Entry], list[Entry]]:
    learn = parse_manifest(task.training_manifest)
    if task.test_manifest is not None:
        test = parse_manifest(task.test_manifest)
    else:
        learning, testing = split([entry.anomalous for entry in learn], task.seed)
        learn, test = [learn[i] for i in learning], [learn[i] for i in testing]
    if sum(not entry.anomalous for entry in learn) < 2:
        raise BadData("fewer than two labelled normal images are left to learn from")
    if not test:
        raise BadData("there are no labelled images to test with")
    return learn, test


def _read(
    learn: Sequence[Entry],
    test: Sequence[Entry],
    read: Read,
    geometry: Geometry,
    labels: Sequence[Label],
    tell: Callable[[float], None],
) -> list[Example]:
    """The training images; test images are only checked, so that bad ones fail the job before the long part.

    BadData names several files that are wrong, not only the first: each try costs the customer a round.
    """
    unknown = {label.name for label in labels_of(test)} - {label.name for label in labels}
    if labels and unknown:
        raise BadData(f"the test images have labels that no training image has: {', '.join(sorted(unknown))}")
    examples: list[Example] = []
    problems: list[str] = []
    everything = [*learn, *test]
    known = labels or labels_of(test)

    def checked(entry: Entry) -> Example | BadData:
        try:
            return load(entry, read, geometry, known)
        except BadData as error:
            return error

    for number, example in enumerate(in_order(checked, everything), 1):
        if isinstance(example, BadData):
            problems.append(str(example))
            if len(problems) == _MOST_PROBLEMS:
                break
        elif number <= len(learn) and not problems:
            examples.append(example)
        tell(number / len(everything))
    if problems:
        raise BadData(_together(problems))
    return examples


def _together(problems: Sequence[str]) -> str:
    if len(problems) == 1:
        return problems[0]
    count = f"{len(problems)} or more" if len(problems) == _MOST_PROBLEMS else str(len(problems))
    return f"{count} images or masks cannot be used: {'; '.join(problems)}"


def _evaluate(test: Sequence[Entry], read: Read, session: Session, geometry: Geometry) -> Iterator[Judged]:
    """Judges the test images with the exported graph, as detection will."""
    labels = session.manifest.labels
    names = [label.name for label in labels]
    for entry in test:
        truth = load_truth(entry, read, geometry, labels) if labels else None
        yield judged(entry, session.inspect(read(entry.uri)), truth, names)


def _manifest(
    geometry: Geometry,
    labels: tuple[Label, ...],
    fitted: Fitted,
    outputs: tuple[TensorSpec, ...],
    provenance: dict[str, str],
) -> Manifest:
    return Manifest(
        kind="anomaly-segmentation" if labels else "anomaly-classification",
        labels=labels,
        input=InputContract(
            width=geometry.width,
            height=geometry.height,
            image_width=geometry.image_width,
            image_height=geometry.image_height,
        ),
        outputs=outputs,
        threshold=Threshold(value=0.5),
        decision=Decision(pixel_thresholds=fitted.pixel_thresholds),
        provenance=provenance,
    )


def _golden(results: Sequence[Judged], read: Read, session: Session) -> tuple[tuple[Golden, ...], dict[str, bytes]]:
    """The clearest right answers of each class (a borderline one could flip by rounding), with the graph's numbers."""
    right = [r for r in results if r.is_anomalous == r.entry.anomalous] or list(results)
    right.sort(key=lambda r: -r.confidence)
    chosen = [r for flag in (True, False) for r in [r for r in right if r.is_anomalous is flag][:_GOLDEN]]
    golden, files = [], {}
    for number, result in enumerate(chosen, 1):
        data = read(result.entry.uri)
        if len(data) > _GOLDEN_BYTES:
            file = io.BytesIO()
            Image.fromarray(decode(data)).save(file, "JPEG", quality=85)
            data = file.getvalue()
        tensor = prepare(data, session.manifest).tensor
        outputs = first(session.infer(tensor[None]))
        name = f"golden/{number}.{'jpg' if probe(data).format == 'jpeg' else 'png'}"
        files[name] = data
        files |= {f"golden/{number}.{output}.npy": npy(values) for output, values in outputs.items()}
        golden.append(
            Golden(
                file=name,
                outputs={output: f"golden/{number}.{output}.npy" for output in outputs},
                is_anomalous=bool(np.asarray(outputs["score"]).item() >= session.manifest.threshold.value),
            )
        )
    return tuple(golden), files


def _provenance(task: Task, options: Options, backbone_digest: str, choice: Choice) -> dict[str, str]:
    budget = options.budget
    return {
        "model_arn": task.arn,
        "seed": str(task.seed),
        "training_manifest_sha256": hashlib.sha256(task.training_manifest).hexdigest(),
        "test_manifest_sha256": hashlib.sha256(task.test_manifest).hexdigest() if task.test_manifest else "",
        "backbone": options.backbone_name,
        "backbone_sha256": backbone_digest,
        "budget": f"{budget.images} images, {budget.folds}x{budget.fold_iterations}+{budget.iterations} iterations",
        "precision": f"{choice.precision}: {choice.reason}",
        "torch": torch.__version__,
    }
