"""vigia-ingestion: `worker` reads the cameras and keeps the push door."""

from __future__ import annotations

import argparse
import sys

from vigia_ingestion.entrypoints.worker import work
from vigia_ingestion.settings import Settings
from vigia_runtime.lifecycle import run
from vigia_runtime.settings import SettingsError, load


def main() -> None:
    """Entry point of the console script."""
    parser = argparse.ArgumentParser(prog="vigia-ingestion", description="Cameras in, frames out.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("worker", help="read this replica's cameras and take pushed images")
    parser.parse_args()
    try:
        settings = load(Settings)
    except SettingsError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    run(lambda lifecycle: work(lifecycle, settings), service="ingestion", settings=settings)
