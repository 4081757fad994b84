"""``python -m tests.bench.models.estimates``: what trainings were estimated to take beside what they took.

Each case trains on generated images in a process of its own, as the worker's child does. Times of a machine that does
other work at the same time say little; CPU seconds, the second number of each stage, say more.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

#: Name, images, their width and height, and settings of the budget.
CASES: dict[str, tuple[str, int, int, int, dict[str, int]]] = {
    "judging": ("judging", 120, 640, 480, {}),
    "normal alone": ("normal", 200, 640, 480, {}),
    "classes": ("classes", 200, 640, 480, {}),
    "boxes": ("boxes", 60, 640, 480, {"iterations": 40}),
    "boxes, many": ("boxes", 600, 1280, 960, {"iterations": 10}),
}
_MB = 1_000_000


def main() -> None:
    """Measures the cases that are named, all by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", nargs="*", choices=[*CASES, []])
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        print(json.dumps(_measure(*CASES[given.inside])))
        return
    table = Table(title=f"estimated / taken, {len(os.sched_getaffinity(0))} cores")
    for name in ("case", "seconds", "memory, MB", "artifact, MB", "stages: estimated / wall / CPU seconds"):
        table.add_column(name)
    for name in given.case or CASES:
        command = [sys.executable, "-m", "tests.bench.models.estimates", "--inside", name]
        run = subprocess.run(command, check=True, capture_output=True, text=True)
        found = json.loads(run.stdout.splitlines()[-1])
        stages = ", ".join(f"{stage} {e:.1f}/{w:.1f}/{c:.1f}" for stage, (e, w, c) in found["stages"].items())
        stages += f"; the network {found['network']:.2f} CPU seconds a megapixel"
        pairs = [f"{found[key][0]:.4g} / {found[key][1]:.4g}" for key in ("seconds", "memory", "artifact")]
        table.add_row(name, *pairs, stages)
    Console(width=180).print(table)


def _measure(kind: str, count: int, width: int, height: int, budget: dict[str, int]) -> dict[str, object]:
    # Threads that wait for each other sleep instead of spinning; read when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from vigia_training.adapters.machine import cores, machine
    from vigia_training.app.any_kind import train_any
    from vigia_training.app.preflight import preflight
    from vigia_training.app.train import Options, Task
    from vigia_training.learning.budget import Budget
    from vigia_training.learning.label_budget import DetectionBudget

    manifest, read = _images(kind, count, width, height)
    task = Task("arn:aws:rekognition:x", "bench", "1", manifest)
    options = Options(threads=cores(), budget=Budget(), detection=DetectionBudget(**budget))
    estimate = preflight(task, read, options, machine(Path.cwd()), 1e9)
    assert estimate is not None
    before = _resident()
    network = _network_cpu(options.threads)
    took: dict[str, tuple[float, float]] = {}
    last = ("", 1.0, time.perf_counter(), time.process_time())

    def tell(stage: str, share: float) -> None:
        nonlocal last
        before, done, wall, cpu = last
        last = (stage, share, time.perf_counter(), time.process_time())
        # A stage that was not at its end when another began had the time between.
        of = before if done < 1 else stage
        one, other = took.get(of, (0.0, 0.0))
        took[of] = (one + last[2] - wall, other + last[3] - cpu)

    began = time.perf_counter()
    result = train_any(task, read, options, tell)
    tell("evaluating", 1.0)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    size = sum(len(data) for data in result.artifact.all_files().values())
    return {
        "seconds": (estimate.seconds, seconds),
        "memory": (estimate.memory / _MB, (peak - before) / _MB),
        "artifact": (estimate.artifact / _MB, size / _MB),
        "network": network,
        "stages": {stage: (estimate.stages.get(stage, 0.0), *took[stage]) for stage in took},
    }


def _network_cpu(threads: int) -> float:
    """CPU seconds of the network for a megapixel, the unit of the estimate's costs."""
    import torch

    from vigia_training.learning.backbone import load_backbone

    torch.set_num_threads(threads)
    backbone, took = load_backbone().to(memory_format=torch.channels_last), []
    with torch.inference_mode():
        for _ in range(5):
            began = time.process_time()
            backbone(torch.zeros(4, 256, 256, 3, dtype=torch.uint8))
            took.append(time.process_time() - began)
    return min(took) / (4 * 256 * 256 / _MB)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _images(kind: str, count: int, width: int, height: int) -> tuple[bytes, Callable[[str], bytes]]:
    """A manifest of grey noise with a bright square in half of the images, and a reader that draws them anew."""
    lines = []
    for number in range(count):
        shown = bool(number % 2) and kind != "normal"
        left, top = (int(v) for v in np.random.default_rng(number).integers(0, [width - 60, height - 60]))
        line: dict[str, object] = {"source-ref": f"s3://made/{number}.jpg"}
        if kind == "boxes":
            box = {"class_id": 0, "left": left, "top": top, "width": 60, "height": 60}
            size = [{"width": width, "height": height, "depth": 3}]
            line["of"] = {"image_size": size, "annotations": [box] if shown else []}
            line["of-metadata"] = {"type": "groundtruth/object-detection", "class-map": {"0": "square"}, "objects": []}
        else:
            names = ("square", "nothing") if kind == "classes" else ("anomaly", "normal")
            line |= {"of": int(shown), "of-metadata": {"type": "groundtruth/image-classification"}}
            line["of-metadata"] |= {"class-name": names[not shown]}  # type: ignore[operator]
            if kind == "judging" and shown:
                line["of-mask-ref"] = f"s3://made/{number}.png"
                colors = {"1": {"class-name": "square", "hex-color": "#d02020"}}
                line["of-mask-ref-metadata"] = {
                    "type": "groundtruth/semantic-segmentation",
                    "internal-color-map": colors,
                }
        lines.append(json.dumps(line))

    def read(uri: str) -> bytes:
        number, mask = int(uri.split("/")[-1].split(".")[0]), uri.endswith(".png")
        rng = np.random.default_rng(number)
        left, top = (int(v) for v in rng.integers(0, [width - 60, height - 60]))
        file = io.BytesIO()
        if mask:
            pixels = np.full((height, width, 3), 255, np.uint8)
            pixels[top : top + 60, left : left + 60] = (0xD0, 0x20, 0x20)
        else:
            pixels = rng.integers(90, 120, (height, width, 3), np.uint8)
            if number % 2 and kind != "normal":
                pixels[top : top + 60, left : left + 60] += 100
        Image.fromarray(pixels).save(file, "PNG" if mask else "JPEG")
        return file.getvalue()

    return "\n".join(lines).encode(), read


if __name__ == "__main__":
    main()
