"""``vigia-detection worker`` and ``vigia-detection http``."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

from vigia_detection.entrypoints import http, worker
from vigia_detection.settings import Settings
from vigia_runtime.lifecycle import run
from vigia_runtime.settings import SettingsError, load

_PROCESSES = {"worker": worker.work, "http": http.serve_requests}


def main() -> NoReturn:
    """Run the process that the command line names."""
    parser = argparse.ArgumentParser(prog="vigia-detection", description="Judges images of parts.")
    parser.add_argument("process", choices=sorted(_PROCESSES), help="worker: frames from Kafka; http: requests")
    process = parser.parse_args().process
    try:
        settings = load(Settings)
        if process == "http" and settings.registry is None:
            raise SettingsError(["VIGIA_DETECTION_REGISTRY__URL, VIGIA_DETECTION_REGISTRY__TOKEN: needed by http"])
    except SettingsError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    run(lambda lifecycle: _PROCESSES[process](settings, lifecycle), service="detection", settings=settings)
