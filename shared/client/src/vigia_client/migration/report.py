"""What came in, what did not and why: as plain data for the file, and as rows for people."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from vigia_client.datasets.survey import Remark, Survey
from vigia_client.migration.evaluation import Figures

Json = dict[str, Any]


@dataclass(slots=True)
class DatasetReport:
    """One dataset. ``state``: created, extended, unchanged, failed; in a dry run to be created or to be extended."""

    kind: str
    source: str
    state: str = "failed"
    reason: str = ""
    looked_at: int = 0
    came_in: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    size: str | None = None
    sent_objects: int = 0
    sent_bytes: int = 0
    entries_added: int = 0
    remarks: list[Remark] = field(default_factory=list)

    def count(self, found: Survey, counts: dict[str, int], one_size: bool) -> None:
        """Take over the figures of a survey, and what was counted of its labels."""
        self.looked_at = found.looked_at
        self.came_in = len(found.items)
        self.counts = counts
        self.size = str(found.items[0].size) if found.items and one_size else None
        self.remarks = found.remarks

    @property
    def left_out(self) -> int:
        return sum(remark.out for remark in self.remarks)

    def why(self) -> Counter[tuple[str, bool]]:
        """How often each remark, and whether the image stays out because of it."""
        return Counter((remark.note.why.value, remark.out) for remark in self.remarks)

    def to_json(self) -> Json:
        plain: Json = asdict(self)
        counts: Json = plain.pop("counts")
        plain["remarks"] = [
            {"where": r.where, "image": r.ref, "why": r.note.why.value, "detail": r.note.detail, "left_out": r.out}
            for r in self.remarks
        ]
        return plain | counts | {"left_out": self.left_out}


@dataclass(slots=True)
class Beside:
    """Something of a project that is no dataset. ``state``: came in, unchanged, not moved, failed; or to come in."""

    what: str
    name: str
    state: str
    detail: str = ""
    facts: Json = field(default_factory=dict)


@dataclass(slots=True)
class ProjectReport:
    """One project. ``before``: evaluations that came with it; ``trained``: of the version trained now."""

    project: str
    found_as: str
    reason: str = ""
    datasets: list[DatasetReport] = field(default_factory=list)
    before: list[Figures] = field(default_factory=list)
    trained: Figures | None = None
    training: str = ""
    beside: list[Beside] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        return (
            bool(self.reason)
            or self.training.startswith("failed")
            or any(d.reason for d in self.datasets)
            or any(held.state == "failed" for held in self.beside)
        )

    @property
    def due(self) -> bool:
        """Whether a dry run found something to do."""
        return any(d.state.startswith("to be") or d.sent_objects for d in self.datasets) or any(
            held.state.endswith("to come in") for held in self.beside
        )

    def to_json(self) -> Json:
        return {
            "project": self.project,
            "found_as": self.found_as,
            "failed": self.failed,
            "reason": self.reason,
            "datasets": [dataset.to_json() for dataset in self.datasets],
            "evaluations_before": [asdict(figures) for figures in self.before],
            "evaluation_now": None if self.trained is None else asdict(self.trained),
            "training": self.training,
            "beside": [asdict(held) for held in self.beside],
        }


class ReportFile:
    """Writes the report, a project at a time; it has its name only when it is whole."""

    def __init__(self, path: Path, head: Json) -> None:
        self._path = path
        self._part = path.with_name(path.name + ".part")
        self._head = head
        self._file: TextIO | None = None
        self._count = 0

    def __enter__(self) -> ReportFile:
        self._file = self._part.open("w", encoding="utf-8")
        self._write(json.dumps(self._head, indent=1).rstrip("\n}") + ',\n "projects": [')
        return self

    def add(self, project: ProjectReport) -> None:
        """One more project."""
        self._write(("," if self._count else "") + "\n" + json.dumps(project.to_json(), indent=1))
        self._count += 1

    def finish(self, rest: Json) -> None:
        """What is known only at the end; then the report is whole."""
        self._write("\n ],\n" + json.dumps(rest, indent=1).removeprefix("{\n") + "\n")
        assert self._file is not None
        self._file.close()
        self._part.replace(self._path)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def _write(self, text: str) -> None:
        assert self._file is not None
        self._file.write(text)
        self._file.flush()


BESIDE_TITLES = ("PROJECT", "WHAT", "NAME", "STATE", "DETAIL")
REMARK_TITLES = ("PROJECT", "DATASET", "IMAGES", "LEFT OUT", "WHY", "FOR EXAMPLE")


def dataset_titles(counted: Sequence[str]) -> tuple[str, ...]:
    """``counted``: titles of what is counted of labels."""
    return ("PROJECT", "DATASET", "FOUND", "CAME IN", *counted, "LEFT OUT", "SENT", "STATE")


def figure_titles(of_labels: str) -> tuple[str, ...]:
    """``of_labels``: what is said of each label."""
    return ("PROJECT", "VERSION", "WHEN", "PRECISION", "RECALL", "F1", "TESTED ON", of_labels)


def dataset_rows(reports: Sequence[ProjectReport], counted: Sequence[str]) -> list[Sequence[object]]:
    """A row for each dataset, and one for each project that has none."""
    rows: list[Sequence[object]] = []
    for project in reports:
        if not project.datasets:
            state = f"failed: {project.reason}" if project.reason else "no dataset"
            rows.append((project.project, *[None] * (5 + len(counted)), state))
        for d in project.datasets:
            state = f"{d.state}: {d.reason or project.reason}" if d.reason or project.reason else d.state
            labels = [d.counts.get(title.lower()) for title in counted]
            counts = (d.looked_at, d.came_in, *labels, d.left_out, d.sent_objects)
            rows.append((project.project, d.kind, *counts, state))
    return rows


def remark_rows(reports: Sequence[ProjectReport]) -> list[Sequence[object]]:
    """A row for each kind of remark of each dataset, with one example."""
    rows: list[Sequence[object]] = []
    for project in reports:
        for dataset in project.datasets:
            for (why, out), count in dataset.why().most_common():
                example = next(r for r in dataset.remarks if (r.note.why.value, r.out) == (why, out))
                said = f"{example.where}: {example.note.detail}"[:160]
                rows.append((project.project, dataset.kind, count, "yes" if out else "", why, said))
    return rows


def beside_rows(reports: Sequence[ProjectReport]) -> list[Sequence[object]]:
    """A row for each thing of a project that is no dataset."""
    return [
        (project.project, held.what, held.name, held.state, held.detail)
        for project in reports
        for held in project.beside
    ]


def figure_rows(reports: Sequence[ProjectReport]) -> list[Sequence[object]]:
    """The old evaluations and the new one, side by side."""
    return [
        (project.project, figures.version, when, *map(_share, (figures.precision, figures.recall, figures.f1)),
         figures.test_images, _labels(figures))
        for project in reports
        for when, figures in [*(("before", f) for f in project.before), *([("now", project.trained)]
                                                                        if project.trained else [])]
    ]  # fmt: skip


def _share(value: float | None) -> str | None:
    return None if value is None else f"{value:.1%}"


def _labels(figures: Figures) -> str:
    return ", ".join(
        " ".join([name, *(_share(value) or "?" for value in values.values())])
        for name, values in sorted(figures.labels.items())
    )
