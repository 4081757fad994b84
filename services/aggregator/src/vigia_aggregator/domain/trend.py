"""Folds the cells of a trend into points."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from vigia_aggregator.domain.buckets import defect_rate


class Cell(Protocol):
    """The inspections of one bucket, group and verdict."""

    @property
    def bucket(self) -> datetime: ...
    @property
    def group(self) -> str: ...
    @property
    def verdict(self) -> str: ...
    @property
    def inspections(self) -> int: ...
    @property
    def scored(self) -> int: ...
    @property
    def score_sum(self) -> float: ...
    @property
    def latency_sum(self) -> float: ...


@dataclass(slots=True)
class Point:
    """One bucket of one group, all verdicts together."""

    start: datetime
    group: str
    counts: dict[str, int] = field(default_factory=dict)
    scored: int = 0
    score_sum: float = 0.0
    latency_sum: float = 0.0

    @property
    def total(self) -> int:
        """All inspections, INVALID included."""
        return sum(self.counts.values())

    @property
    def defect_rate(self) -> float | None:
        """REJECT / (PASS + REJECT + REVIEW)."""
        counts = self.counts
        return defect_rate(counts.get("REJECT", 0), counts.get("PASS", 0), counts.get("REVIEW", 0))

    @property
    def mean_score(self) -> float | None:
        """Mean raw score of the frames that have one."""
        return self.score_sum / self.scored if self.scored else None

    @property
    def mean_latency(self) -> float | None:
        """Seconds from capture to decision."""
        return self.latency_sum / self.total if self.total else None


def points(cells: Iterable[Cell]) -> list[Point]:
    """Points in the order in which their buckets and groups first come."""
    found: dict[tuple[datetime, str], Point] = {}
    for cell in cells:
        point = found.setdefault((cell.bucket, cell.group), Point(cell.bucket, cell.group))
        point.counts[cell.verdict] = point.counts.get(cell.verdict, 0) + cell.inspections
        point.scored += cell.scored
        point.score_sum += cell.score_sum
        point.latency_sum += cell.latency_sum
    return list(found.values())
