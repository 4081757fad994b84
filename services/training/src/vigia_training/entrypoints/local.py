"""Training on this machine's own files, without Kafka and object store."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from vigia_training.adapters.checkpoints import FolderCheckpoints
from vigia_training.adapters.files import folder_reader
from vigia_training.adapters.machine import machine
from vigia_training.app.any_kind import train_any
from vigia_training.app.preflight import preflight
from vigia_training.app.train import Result, Task
from vigia_training.domain.errors import BadData
from vigia_training.domain.estimate import spoken
from vigia_training.domain.progress import Moment, Pace
from vigia_training.entrypoints.options import options_of
from vigia_training.learning import parallel
from vigia_training.learning.parallel import Followed
from vigia_training.settings import LocalSettings
from vigia_vision import write_artifact

#: How often a stage that goes on is told of, seconds.
_EVERY = 20.0


def train_files(
    manifest: Path,
    test_manifest: Path | None,
    images: Path,
    out: Path,
    project: str,
    seed: int,
    only_estimate: bool = False,
) -> int:
    """Trains and writes the artifact and the evaluation below ``out``; the exit code, 1 for data that cannot train.

    What it will take is printed first; with ``only_estimate`` nothing else is done.
    """
    learning = LocalSettings().learning
    kept = FolderCheckpoints(out / "checkpoints")
    options, read = options_of(learning, kept), folder_reader(images)
    task = Task(
        arn=f"arn:local:vigia:local:000000000000:model/{project}/1",
        project=project,
        version="1",
        training_manifest=manifest,
        test_manifest=test_manifest,
        seed=seed,
    )
    try:
        seconds = learning.hours * 3600
        estimate = None if parallel.rank() else preflight(task, read, options, machine(out), seconds)
        if estimate is not None:
            print(estimate, flush=True)
        if only_estimate and estimate is not None:
            return 0
        started = time.monotonic()
        result = train_any(task, read, options, Pace(estimate.stages if estimate else {}, _Teller(started)))
    except BadData as error:
        print(error, file=sys.stderr)
        return 1
    except Followed:
        return 0
    _write(result, out, f"{project}-1")
    kept.clear()
    metrics = result.metrics
    print(
        f"{time.monotonic() - started:6.1f} s  precision {metrics.precision:.3f}  recall {metrics.recall:.3f}  "
        f"F1 {metrics.f1:.3f}  on {metrics.test_images} test images"
    )
    for warning in metrics.warnings:
        print(f"          note: {warning}")
    for label in metrics.classes:
        print(f"          {label.name}: pixel F1 {label.f1:.3f}, average IoU {label.iou:.3f}")
    for one in metrics.labels:
        print(
            f"          {one.name}: F1 {one.f1:.3f}, precision {one.precision:.3f}, recall {one.recall:.3f} "
            f"from confidence {one.threshold:.3f} on, average precision {one.average_precision:.3f}"
        )
    return 0


class _Teller:
    """Prints when a stage begins, and every now and then how far it is."""

    def __init__(self, started: float) -> None:
        self._started, self._stage, self._at = started, "", 0.0

    def __call__(self, moment: Moment) -> None:
        now = time.monotonic()
        if parallel.rank():
            return
        if moment.stage != self._stage or now - self._at >= _EVERY:
            self._stage, self._at = moment.stage, now
            left = f"{spoken(moment.remaining)} left"
            print(f"{now - self._started:6.1f} s  {moment.fraction:4.0%}  {moment.stage}, {left}", flush=True)


def _write(result: Result, folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_artifact(result.artifact, folder / "artifact")
    for file, content in result.evaluation_files(name).items():
        (folder / file).write_bytes(content)
