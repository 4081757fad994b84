"""``python -m tests.fuzz --service rekognition --requests 100000``: as the tests, with as many requests as wanted."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from random import SystemRandom

from tests.fuzz.customlabels import LABELS
from tests.fuzz.lookoutvision import LOOKOUT
from tests.fuzz.run import fuzz
from vigia_stack.parts.objects import ObjectsPart
from vigia_stack.parts.postgres import PostgresPart
from vigia_stack.stack import Stack

SUBJECTS = {"lookoutvision": LOOKOUT, "rekognition": LABELS}


def main() -> int:
    """0 when nothing was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--service", choices=SUBJECTS, default="lookoutvision")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(2**32))
    chosen = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="vigia-fuzz-") as folder,
        Stack(["postgres", "objects"], Path(folder)) as stack,
    ):
        began, cpu = time.monotonic(), time.process_time()
        postgres, store = stack.part(PostgresPart).url("postgres"), stack.part(ObjectsPart).store
        report = fuzz(SUBJECTS[chosen.service], postgres, store, chosen.seed, chosen.requests)
        took, cpu = time.monotonic() - began, time.process_time() - cpu
    for (operation, outcome), count in sorted(report.sent.items()):
        print(f"{count:8} {operation:24} {outcome}")
    print(f"{report.requests} requests, seed {chosen.seed}, {took:.0f} s, {cpu:.0f} s of CPU here")
    for problem in report.problems:
        print(problem)
    print(f"{len(report.problems)} problems")
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
