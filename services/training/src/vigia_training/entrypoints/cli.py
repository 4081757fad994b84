"""``vigia-training``: the worker, and training on this machine's own files."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from vigia_runtime.settings import SettingsError, load
from vigia_training.entrypoints.worker import work
from vigia_training.settings import Settings


def main() -> None:
    """Entry point; exit 2 for a wrong command line or environment, 1 for data that cannot be trained on."""
    parser = argparse.ArgumentParser(prog="vigia-training", description="Trains model versions.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("worker", help="take jobs from Kafka")
    local = commands.add_parser("train", help="train on local files")
    local.add_argument("manifest", type=Path, help="JSON Lines manifest")
    local.add_argument("--images", type=Path, help="folder with its images and masks (default: the manifest's)")
    local.add_argument("--out", type=Path, required=True, help="folder to write the artifact and the evaluation to")
    local.add_argument("--test-manifest", type=Path, help="manifest of test images (default: split the first)")
    local.add_argument("--project", default="local", help="project name in the evaluation files")
    local.add_argument("--seed", type=int, default=0)
    local.add_argument("--estimate", action="store_true", help="say what it would take, and train nothing")
    given = parser.parse_args()
    if given.command == "worker":
        try:
            settings = load(Settings)
        except SettingsError as error:
            print(error, file=sys.stderr)
            sys.exit(2)
        work(settings)
    # Threads that wait for each other sleep instead of spinning; read when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Only here: it brings torch, which would cost the worker 300 MB.
    from vigia_training.entrypoints.local import train_files

    images = given.images or given.manifest.resolve().parent
    where = (given.manifest, given.test_manifest, images, given.out)
    sys.exit(train_files(*where, given.project, given.seed, given.estimate))
