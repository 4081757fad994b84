"""Training on this machine's own files, without Kafka and object store."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from vigia_training.adapters.files import folder_reader
from vigia_training.app.any_kind import train_any
from vigia_training.app.train import Result, Task
from vigia_training.domain.errors import BadData
from vigia_training.entrypoints.options import options_of
from vigia_training.settings import LocalSettings
from vigia_vision import write_artifact


def train_files(manifest: Path, test_manifest: Path | None, images: Path, out: Path, project: str, seed: int) -> int:
    """Trains and writes the artifact and the evaluation below ``out``; the exit code, 1 for data that cannot train."""
    started = time.monotonic()
    stage = ""

    def tell(name: str, fraction: float) -> None:
        nonlocal stage
        if name != stage:
            stage = name
            print(f"{time.monotonic() - started:6.1f} s  {fraction:4.0%}  {name}", flush=True)

    task = Task(
        arn=f"arn:local:vigia:local:000000000000:model/{project}/1",
        project=project,
        version="1",
        training_manifest=manifest.read_bytes(),
        test_manifest=test_manifest.read_bytes() if test_manifest else None,
        seed=seed,
    )
    try:
        result = train_any(task, folder_reader(images), options_of(LocalSettings().learning), tell)
    except BadData as error:
        print(error, file=sys.stderr)
        return 1
    _write(result, out, f"{project}-1")
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


def _write(result: Result, folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_artifact(result.artifact, folder / "artifact")
    for file, content in result.evaluation_files(name).items():
        (folder / file).write_bytes(content)
