"""Trains one model version: manifests and images in, artifact and evaluation out."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from vigia_contracts.training import ModelMetrics
from vigia_runtime.logging import get_logger
from vigia_training.app.digests import Digesting
from vigia_training.app.images import Geometry, Read, geometry_of, in_order, labels_of, load, load_truth
from vigia_training.app.provenance import fingerprint, provenance
from vigia_training.app.report_page import report_files
from vigia_training.app.report_parts import ReportFiles
from vigia_training.domain.dataset import Entry, parse_manifest
from vigia_training.domain.errors import BadData
from vigia_training.domain.evaluation import Judged, evaluation_manifest, evaluation_result, judged, measure
from vigia_training.domain.grouping import Thumbnail, group, shown_twice, thumbnail
from vigia_training.domain.report import Evaluated
from vigia_training.domain.split import sample, split
from vigia_training.domain.text import Text, whole
from vigia_training.learning import parallel
from vigia_training.learning.backbone import load_backbone
from vigia_training.learning.budget import DEFAULT_BACKBONE, FALSE_REJECTS, Budget, DeviceName, Precision
from vigia_training.learning.checkpoints import NONE, Checkpoints
from vigia_training.learning.device import device_of
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

#: Stage (reading, features, training, exporting, evaluating), and the share of it that is done.
Progress = Callable[[str, float], None]

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
    training_manifest: Text
    test_manifest: Text | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Options:
    """How to train on this machine. ``threads``: cores to use. A backbone other than the packaged one is a file.

    ``false_rejects``: share of normal images that a model of normal images alone may take for anomalous.
    """

    threads: int
    budget: Budget = field(default_factory=Budget)
    backbone_name: str = DEFAULT_BACKBONE
    backbone_file: Path | None = None
    precision: Precision = "auto"
    detection: DetectionBudget = field(default_factory=DetectionBudget)
    classification: ClassificationBudget = field(default_factory=ClassificationBudget)
    false_rejects: float = FALSE_REJECTS
    device: DeviceName = "auto"
    checkpoints: Checkpoints = NONE


@dataclass(frozen=True, slots=True)
class Result:
    """What a training gives: the artifact, its metrics, the two evaluation files, and a report to read.

    ``training_snapshot``: of a Custom Labels model the images that it learnt from; its files have the names of that
    service's guide. ``at``: when it was evaluated.
    """

    artifact: Artifact
    metrics: ModelMetrics
    evaluation_manifest: bytes
    evaluation_result: bytes
    at: datetime
    report: ReportFiles | None = None
    training_snapshot: bytes | None = None

    def evaluation_files(self, name: str) -> dict[str, bytes]:
        """All but the artifact by file name, which ends with ``name``.

        Evaluation manifest and result come first, then the training snapshot where there is one.
        """
        if self.training_snapshot is None:
            files = {
                f"EvaluationManifest-{name}.json": self.evaluation_manifest,
                f"EvaluationResult-{name}.json": self.evaluation_result,
            }
        else:
            files = {
                f"TestingGroundTruth-{name}.json": self.evaluation_manifest,
                f"EvaluationResultSummary-{name}.json": self.evaluation_result,
                f"TrainingGroundTruth-{name}.json": self.training_snapshot,
            }
        if self.report is not None:
            files[f"EvaluationReport-{name}.html"] = self.report.html
            files[f"EvaluationReport-{name}.json"] = self.report.json
        return files


def train(task: Task, read: Read, options: Options, tell: Progress) -> Result:
    """Runs the whole training. BadData names what the customer has to put right; all else is a bug or the machine."""
    parallel.part()  # it is too short for several processes
    read = Digesting(read)
    torch.set_num_threads(options.threads)
    torch.manual_seed(task.seed)
    given = _given(task)
    geometry = geometry_of(given.learn[0], read)
    data = _divide(
        given, _read(given, read, geometry, options.budget, task.seed, lambda s: tell("reading", s)), task.seed
    )
    learn, test, labels, examples = data.learn, data.test, given.labels, data.examples
    device = device_of(options.device)
    backbone = load_backbone(options.backbone_name, options.backbone_file)
    told = provenance(task, options, read.digests, device)
    checkpoints = options.checkpoints.of(fingerprint(options, told))
    fitted = fit(
        backbone, examples, len(labels), options.budget, task.seed, device, tell, options.false_rejects, checkpoints
    )
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
    model, outputs = join(choice.graph, judge, task.arn), judge.outputs
    told |= _learnt(options, backbone.digest, choice)
    draft = _manifest(geometry, labels if fitted.pixel_thresholds else (), fitted, outputs, told)
    session = Session(Artifact.build(draft, {MODEL_FILE: model}), options.threads)
    results = []
    for result in _evaluate(test, read, session, geometry):
        results.append(result)
        tell("evaluating", len(results) / len(test))
    metrics = measure(results, [label.name for label in draft.labels], len(learn), data.warnings)
    golden, files = _golden(results, read, session)
    numbers = metrics.model_dump(include={"precision", "recall", "f1", "roc_auc", "average_precision"})
    rate = fitted.false_rejects
    numbers |= {"false_rejects": rate.expected, "false_rejects_low": rate.low, "false_rejects_high": rate.high}
    manifest = draft.model_copy(update={"golden": golden, "metrics": numbers})
    at = datetime.now(UTC)
    evaluated = Evaluated(
        arn=task.arn,
        project=task.project,
        version=task.version,
        at=at,
        threshold=draft.threshold.value,
        labels=[label.name for label in draft.labels],
        results=results,
        learn=learn,
        metrics=metrics,
        pixels=geometry.image_width * geometry.image_height,
        model_pixels=geometry.width * geometry.height,
        parts=data.parts,
        digests=read.digests,
        provenance=told,
        notes=metrics.warnings,
    )

    def show(entry: Entry) -> tuple[bytes, NDArray[np.uint8] | None, NDArray[np.uint8] | None]:
        data = read(entry.uri)
        truth = load_truth(entry, read, geometry, draft.labels) if draft.labels else None
        return data, truth, session.inspect(data).mask

    return Result(
        artifact=Artifact.build(manifest, {MODEL_FILE: model, **files}),
        metrics=metrics,
        evaluation_manifest=evaluation_manifest(results, task.arn, task.project, task.version, at),
        evaluation_result=evaluation_result(metrics, bool(draft.labels), task.arn, at),
        report=report_files(evaluated, show, draft.labels),
        at=at,
    )


@dataclass(frozen=True, slots=True)
class _Given:
    """What the manifests say. Without ``test``, some of ``learn`` will test."""

    learn: list[Entry]
    test: list[Entry] | None
    labels: tuple[Label, ...]

    @property
    def everything(self) -> list[Entry]:
        return [*self.learn, *(self.test or ())]


def _given(task: Task) -> _Given:
    learn = parse_manifest(whole(task.training_manifest))
    test = None if task.test_manifest is None else parse_manifest(whole(task.test_manifest))
    normal = sum(not entry.anomalous for entry in learn)
    if (normal if test is not None else normal - normal // 2) < 2:
        raise BadData("fewer than two labelled normal images are left to learn from")
    if test is not None and not test:
        raise BadData("there are no labelled images to test with")
    labels = labels_of(learn)
    unknown = {label.name for label in labels_of(test or ())} - {label.name for label in labels}
    if labels and unknown:
        raise BadData(f"the test images have labels that no training image has: {', '.join(sorted(unknown))}")
    return _Given(learn, test, labels)


@dataclass(frozen=True, slots=True)
class _Images:
    """What was read: of each image its thumbnail ``[N, 144]``, training images first; some of those whole."""

    thumbnails: NDArray[np.float32]
    examples: dict[int, Example]


def _read(
    given: _Given, read: Read, geometry: Geometry, budget: Budget, seed: int, tell: Callable[[float], None]
) -> _Images:
    """Every image, so that bad ones fail the job before the long part; kept are as many as the budget allows.

    BadData names several files that are wrong, not only the first: each try costs the customer a round.
    """
    known = given.labels or labels_of(given.test or ())
    kept = set(sample([entry.anomalous for entry in given.learn], budget.examples, seed))
    everything = given.everything

    def checked(entry: Entry) -> tuple[Example, Thumbnail] | BadData:
        try:
            example = load(entry, read, geometry, known)
        except BadData as error:
            return error
        return example, thumbnail(example.pixels)

    thumbnails: list[Thumbnail] = []
    examples: dict[int, Example] = {}
    problems: list[str] = []
    for number, found in enumerate(in_order(checked, everything)):
        if isinstance(found, BadData):
            problems.append(str(found))
            if len(problems) == _MOST_PROBLEMS:
                break
        else:
            thumbnails.append(found[1])
            if number in kept and not problems:
                examples[number] = found[0]
        tell((number + 1) / len(everything))
    if problems:
        raise BadData(_together(problems))
    return _Images(np.stack(thumbnails), examples)


@dataclass(frozen=True, slots=True)
class _Data:
    """Entries that teach and that test, ``examples`` of the first, and what the user should know of them.

    ``parts``: for each image's address a number, the same of images that show one part.
    """

    learn: list[Entry]
    test: list[Entry]
    examples: list[Example]
    warnings: list[str]
    parts: dict[str, int]


def _divide(given: _Given, images: _Images, seed: int) -> _Data:
    """Images of one part come to one side, where the sides are ours to choose; else those on both are counted."""
    groups = group(images.thumbnails, [entry.part for entry in given.everything])
    count = len(given.learn)
    warnings: list[str] = []
    if given.test is not None:
        learning, test = list(range(count)), given.test
        warnings += shown_twice(groups, count)
    else:
        flags = [entry.anomalous for entry in given.learn]
        learning, testing = split(flags, seed, groups.tolist())
        if len({flags[i] for i in testing}) < len({flags[i] for i in split(flags, seed)[1]}):
            learning, testing = split(flags, seed)
            warnings.append("the images show so few parts that some had to be on both sides, in training and in test")
        testing = _with_known_labels(given.learn, learning, testing, groups)
        learning = sorted(set(range(count)) - set(testing))
        test = [given.learn[i] for i in testing]
        if not test:
            raise BadData("there are no labelled images to test with")
    examples = [replace(images.examples[i], group=int(groups[i])) for i in learning if i in images.examples]
    if len(examples) < len(learning):
        warnings.append(f"{len(examples)} of {len(learning)} training images, chosen at random, were learnt from")
    parts = dict(zip((entry.uri for entry in given.everything), groups.tolist(), strict=True))
    return _Data([given.learn[i] for i in learning], test, examples, warnings, parts)


def _with_known_labels(
    entries: Sequence[Entry], learning: Sequence[int], testing: Sequence[int], groups: NDArray[np.int64]
) -> list[int]:
    """``testing`` without the groups that have a label which no image in ``learning`` has: they must teach it."""
    known = {label.name for label in labels_of([entries[i] for i in learning])}
    needed = {int(groups[i]) for i in testing if any(label.name not in known for label in labels_of([entries[i]]))}
    return [i for i in testing if int(groups[i]) not in needed]


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


def _learnt(options: Options, backbone_digest: str, choice: Choice) -> dict[str, str]:
    budget = options.budget
    return {
        "backbone_sha256": backbone_digest,
        "budget": f"{budget.images} images, {budget.folds}x{budget.fold_iterations}+{budget.iterations} iterations",
        "precision": f"{choice.precision}: {choice.reason}",
    }
