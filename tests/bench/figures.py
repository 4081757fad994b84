"""Figures and how they are shown."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement: its value, the reference measured beside it, and the goal where there is one."""

    name: str
    value: float
    unit: str
    reference: float | None = None
    reference_name: str = ""
    goal: str = ""

    @property
    def ratio(self) -> float | None:
        """Value to reference."""
        return self.value / self.reference if self.reference else None


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` of the values lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass(slots=True)
class Report:
    """All figures of a run."""

    figures: list[Figure] = field(default_factory=list)

    def add(self, figure: Figure) -> None:
        """Keep one."""
        self.figures.append(figure)

    def show(self, console: Console) -> None:
        """As a table."""
        table = Table(title=f"{_cores()} cores, {platform.machine()}, Python {platform.python_version()}")
        for name in ("what", "value", "unit", "reference", "ratio", "goal"):
            table.add_column(name, justify="left" if name in ("what", "unit", "reference", "goal") else "right")
        for figure in self.figures:
            reference = "" if figure.reference is None else f"{figure.reference:.4g} {figure.reference_name}"
            ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
            table.add_row(figure.name, f"{figure.value:.4g}", figure.unit, reference, ratio, figure.goal)
        console.print(table)

    def write(self, file: Path) -> None:
        """As JSON."""
        machine = {"cores": _cores(), "machine": platform.machine(), "python": platform.python_version()}
        figures = [{**asdict(figure), "ratio": figure.ratio} for figure in self.figures]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"machine": machine, "figures": figures}, indent=1) + "\n")


def _cores() -> int:
    import os

    return len(os.sched_getaffinity(0))
