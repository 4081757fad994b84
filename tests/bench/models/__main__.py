"""``make bench-models``: every row, a table with goals and references, and ``.vigia/bench/models/``.

What a draw gave is kept there as JSON; a further run goes on where the last one ended. ``--fresh`` begins anew.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from vigia_stack import paths

# Threads that wait for each other sleep instead of spinning; read when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def main() -> None:
    """Measures what was asked for."""
    from tests.bench.models import brand, customlabels, rows

    measured = (*rows.ROWS, *brand.ROWS, *customlabels.ROWS)
    parser = argparse.ArgumentParser(prog="make bench-models", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("VIGIA_BENCH_DATA", "")))
    parser.add_argument(
        "--row", action="append", choices=[row.name for row in measured], help="only this one; may repeat"
    )
    parser.add_argument("--draws", type=int, help="random draws of each row")
    parser.add_argument("--fresh", action="store_true", help="measure again what was measured")
    given = parser.parse_args()
    console = Console(width=150)
    folder = paths.default_state() / "bench" / "models"
    folder.mkdir(parents=True, exist_ok=True)
    table = Table(title=f"{len(os.sched_getaffinity(0))} cores")
    for name in ("row", "what", "mean", "draws", "goal", "reference"):
        table.add_column(name)
    for row in measured:
        if given.row and row.name not in given.row:
            continue
        found: list[dict[str, float]] = []
        for draw in range(given.draws or row.draws):
            file = folder / f"{row.name}-{draw}.json"
            if given.fresh or not file.exists():
                numbers = row.measure(given.data, draw)
                if numbers is None:
                    break
                file.write_text(json.dumps(numbers, indent=1) + "\n")
                console.print(f"{row.name} {draw}: " + ", ".join(f"{k} {v:.4g}" for k, v in numbers.items()))
            found.append(json.loads(file.read_text()))
        title = f"{row.name}: {row.about}"
        if not found:
            table.add_row(title, "skipped: its images are not in --data, nor in VIGIA_BENCH_DATA")
        for goal in row.goals if found else ():
            values = [numbers[goal.name] for numbers in found if goal.name in numbers]
            if not values:
                table.add_row(title, goal.name, "not measured", "", goal.goal, goal.reference)
                title = ""
                continue
            each = " ".join(f"{value:.3g}" for value in values)
            table.add_row(title, goal.name, f"{np.mean(values):.4g}", each, goal.goal, goal.reference)
            title = ""
    console.print(table)


if __name__ == "__main__":
    main()
