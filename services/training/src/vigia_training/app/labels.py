"""Trains one version of a model that gives labels: whole images' labels, or boxes around objects."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import torch
from PIL import Image

from vigia_contracts.training import ModelMetrics
from vigia_training.app.brand import learn_brand
from vigia_training.app.classifier import learn_classifier
from vigia_training.app.detector import learn_detector
from vigia_training.app.digests import Digesting
from vigia_training.app.images import Read
from vigia_training.app.label_data import LabelData, read_datasets
from vigia_training.app.provenance import fingerprint, provenance
from vigia_training.app.report_labels import label_report_files
from vigia_training.app.train import Options, Progress, Result, Task
from vigia_training.domain.annotations import Annotation
from vigia_training.domain.label_evaluated import LabelsEvaluated
from vigia_training.domain.label_evaluation import measure_labels, snapshot, summary
from vigia_training.domain.label_outcomes import Examined
from vigia_training.domain.palette import coloured
from vigia_training.learning.detection.network import FLOOR
from vigia_training.learning.device import device_of
from vigia_vision import Artifact, Manifest, Session, decode, probe
from vigia_vision.artifact import MODEL_FILE, npy
from vigia_vision.manifest import Decision, Golden, Threshold
from vigia_vision.prepare import prepare
from vigia_vision.session import first

_GOLDEN = 4
_GOLDEN_BYTES = 256 * 1024
#: Scores of golden samples keep this distance from each other and from the floor, so that rounding changes no order.
_APART = 2e-4


def train_labels(task: Task, read: Read, options: Options, tell: Progress) -> Result:
    """Runs the whole training. BadData names what the customer has to put right; all else is a bug or the machine."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(task.seed)
    read = Digesting(read)
    data = read_datasets(task, read, lambda share: tell("reading", share))
    return learn_labels(task, data, read, read.digests, options, tell)


def learn_labels(
    task: Task, data: LabelData, read: Read, digests: Mapping[str, str], options: Options, tell: Progress
) -> Result:
    """All of it that comes after the images were read and checked; ``digests`` are theirs."""
    told = provenance(task, options, digests, device_of(options.device))
    options = replace(options, checkpoints=options.checkpoints.of(fingerprint(options, told)))
    learn = learn_brand if data.logos else learn_detector if data.kind == "object-detection" else learn_classifier
    learnt = learn(data, read, task, options, lambda share: tell("training", share))
    tell("exporting", 0)
    draft = Manifest(
        kind=data.kind,
        labels=coloured(data.labels),
        input=learnt.input,
        outputs=learnt.outputs,
        threshold=Threshold(value=0.5),
        decision=Decision(label_thresholds=(0.5,) * len(data.labels)),
        provenance={**told, **learnt.provenance},
    )
    session = Session(Artifact.build(draft, {MODEL_FILE: learnt.model}), options.threads)
    results: list[Examined] = []
    for annotation in data.test:
        results.append(Examined(annotation, *data.sizes[annotation.uri], session.find(read(annotation.uri), 0.0)))
        tell("evaluating", len(results) / len(data.test))
    notes = [*data.warnings, *learnt.warnings]
    metrics = measure_labels(results, data.labels, data.kind, len(data.learn), notes)
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
    evaluated = LabelsEvaluated(
        arn=task.arn,
        project=task.project,
        version=task.version,
        at=at,
        kind=data.kind,
        results=results,
        learn=data.learn,
        parts=data.parts,
        metrics=metrics,
        contract=draft.input,
        sizes=data.sizes,
        digests=digests,
        provenance=draft.provenance,
        notes=metrics.warnings,
    )
    by_name = dict(zip(data.labels, thresholds, strict=True))
    return Result(
        artifact=Artifact.build(manifest, {MODEL_FILE: learnt.model, **files}),
        metrics=metrics,
        evaluation_manifest=snapshot(results, data.labels, data.kind, by_name, at),
        evaluation_result=summary(results, metrics, data.kind, task.arn, at),
        report=label_report_files(evaluated, read),
        at=at,
    )


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
