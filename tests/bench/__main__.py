"""``make bench``: a stack of its own, every figure, a table and ``.vigia/bench/figures.json``."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

from rich.console import Console

from tests.bench import api, classifier, datasets, hosting, sample, stream, vision
from tests.bench.figures import Figure, Report
from tests.line import PARTS, Line
from vigia_stack import paths
from vigia_stack.stack import Stack

PROJECT = "bench"


def resident_mebibytes(pid: int) -> float:
    """Memory of a process and its children that is in RAM, proportionally shared, MiB."""
    found = 0.0
    for child in Path(f"/proc/{pid}/task").glob("*/children"):
        found += sum(resident_mebibytes(int(number)) for number in child.read_text().split())
    for text in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if text.startswith("Pss:"):
            found += int(text.split()[1]) / 1024
    return found


def main() -> None:
    """Measures everything, one after the other."""
    console = Console(width=150)
    report = Report()
    state = paths.default_state()
    images = sample.photographs()
    artifact = sample.artifact(state)
    vision.measure(report, artifact, images)
    with tempfile.TemporaryDirectory(prefix="vigia-bench-") as folder:
        began = time.monotonic()
        with Stack(PARTS, Path(folder)) as stack:
            report.add(Figure("start of the whole stack, empty", time.monotonic() - began, "s"))
            line = Line(stack)
            line.host(PROJECT, artifact)
            asyncio.run(stream.measure(report, line, PROJECT, images))
            beside = api.measure(report, line, PROJECT, artifact, images)
            labels = classifier.artifact(state)
            api.measure_labels(report, line, line.host_labels(PROJECT, labels), labels, images, beside)
            hosting.measure(report, line, PROJECT, artifact, images)
            datasets.measure(report, line, f"{PROJECT}-datasets")
            datasets.measure_labels(report, line, f"{PROJECT}-labels")
            for part in PARTS:
                report.add(Figure(f"memory after load: {part}", resident_mebibytes(line.pid(part)), "MiB"))
    report.show(console)
    report.write(state / "bench" / "figures.json")


if __name__ == "__main__":
    main()
