"""``vigia-training``: the worker, and training on this machine's own files."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from vigia_runtime.settings import SettingsError, load
from vigia_training.adapters.files import folder_reader
from vigia_training.app.train import Options, Result, Task, train
from vigia_training.domain.errors import BadData
from vigia_training.entrypoints.worker import work
from vigia_training.settings import LearningSettings, Settings
from vigia_vision import write_artifact


def main() -> None:
    """Entry point; exit 2 for a wrong command line or environment, 1 for data that cannot be trained on."""
    parser = argparse.ArgumentParser(prog="vigia-training", description="Trains model versions.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("worker", help="take jobs from Kafka")
    local = commands.add_parser("train", help="train on local files")
    local.add_argument("manifest", type=Path, help="JSON Lines manifest")
    local.add_argument("--images", type=Path, required=True, help="folder with the manifest's images and masks")
    local.add_argument("--out", type=Path, required=True, help="folder to write the artifact and the evaluation to")
    local.add_argument("--test-manifest", type=Path, help="manifest of test images (default: split the first)")
    local.add_argument("--project", default="local", help="project name in the evaluation files")
    local.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.command == "worker":
        try:
            settings = load(Settings)
        except SettingsError as error:
            print(error, file=sys.stderr)
            sys.exit(2)
        work(settings)
    _train(given)


def _train(given: argparse.Namespace) -> None:
    started = time.monotonic()
    stage = ""

    def tell(name: str, fraction: float) -> None:
        nonlocal stage
        if name != stage:
            stage = name
            print(f"{time.monotonic() - started:6.1f} s  {fraction:4.0%}  {name}", flush=True)

    task = Task(
        arn=f"arn:local:lookoutvision:local:000000000000:model/{given.project}/1",
        project=given.project,
        version="1",
        training_manifest=given.manifest.read_bytes(),
        test_manifest=given.test_manifest.read_bytes() if given.test_manifest else None,
        seed=given.seed,
    )
    learning = LearningSettings()
    options = Options(learning.cores, learning.budget, learning.backbone, learning.backbone_path)
    try:
        result = train(task, folder_reader(given.images), options, tell)
    except BadData as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    _write(result, given.out, f"{given.project}-1")
    metrics = result.metrics
    print(
        f"{time.monotonic() - started:6.1f} s  precision {metrics.precision:.3f}  recall {metrics.recall:.3f}  "
        f"F1 {metrics.f1:.3f}  on {metrics.test_images} test images"
    )
    for label in metrics.classes:
        print(f"          {label.name}: pixel F1 {label.f1:.3f}, average IoU {label.iou:.3f}")


def _write(result: Result, folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_artifact(result.artifact, folder / "artifact")
    (folder / f"EvaluationManifest-{name}.json").write_bytes(result.evaluation_manifest)
    (folder / f"EvaluationResult-{name}.json").write_bytes(result.evaluation_result)
