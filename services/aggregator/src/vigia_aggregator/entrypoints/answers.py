"""What the API answers with."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import RowMapping

from vigia_aggregator.domain.buckets import Resolution
from vigia_contracts.base import UtcTime
from vigia_contracts.faults import FaultKind
from vigia_contracts.inspections import Inspection, Verdict


class Answer(BaseModel):
    """Closed and frozen: a field that appears here is documented here."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())


class StoredInspection(Inspection):
    """An inspection as it was decided, and when its row was written."""

    stored_at: UtcTime


class InspectionPage(Answer):
    """Inspections, and where the next page begins."""

    items: list[StoredInspection]
    next: str | None = Field(
        description="Cursor of the next page: give it as `cursor`. Null on the last page. "
        "When following, give it as `after`; it is never null."
    )


class FaultItem(Answer):
    """A stretch of time, or a count of frames, in which nobody looked."""

    fault_id: UUID
    kind: FaultKind
    cause: str
    account_id: str
    camera_id: str
    line_id: str | None
    started_at: UtcTime
    ended_at: UtcTime | None = Field(description="Null while it lasts.")
    count: int = Field(description="Frames concerned, where known.")
    detail: str | None


class FaultPage(Answer):
    """Faults, and where the next page begins."""

    items: list[FaultItem]
    next: str | None


class Counts(Answer):
    """Inspections by verdict."""

    PASS: int = 0
    REJECT: int = 0
    REVIEW: int = 0
    INVALID: int = 0


class TrendPoint(Answer):
    """One bucket of one group."""

    start: datetime = Field(description="Where the bucket begins, UTC.")
    group: str | None = Field(description="Value of `group_by`; empty where the inspections name none.")
    counts: Counts
    total: int
    defect_rate: float | None = Field(description="REJECT / (PASS + REJECT + REVIEW); null when nothing was judged.")
    mean_score: float | None
    mean_latency_seconds: float | None = Field(description="Capture to decision.")


class Trend(Answer):
    """Buckets that hold inspections, oldest first. Buckets without any are absent."""

    bucket: Resolution
    since: datetime = Field(serialization_alias="from")
    until: datetime = Field(serialization_alias="to")
    group_by: str | None
    points: list[TrendPoint]


class Verdicts(Answer):
    """Judged inspections by verdict, and shares of them. Null where nothing was judged."""

    PASS: int
    REJECT: int
    REVIEW: int
    reject_rate: float | None
    review_rate: float | None


class VerdictChange(Answer):
    """How many verdicts would have been another."""

    before: Verdict
    after: Verdict
    count: int


class ChangedInspection(Answer):
    """One of them."""

    inspection_id: UUID
    captured_at: UtcTime
    score: float
    before: Verdict
    after: Verdict


class LeftOut(Answer):
    """Inspections that were looked at and say nothing about a threshold."""

    INVALID: int = Field(description="Nobody judged.")
    unscored: int = Field(description="Judged, and no score is stored.")


class Replay(Answer):
    """What a threshold would have done."""

    project: str
    model_version: str
    threshold: float
    review_low: float | None
    review_high: float | None
    inspections: int = Field(description="Looked at: the last ones by time of capture, those left out among them.")
    left_out: LeftOut
    oldest: UtcTime | None
    newest: UtcTime | None
    before: Verdicts = Field(description="As they were decided, by whichever thresholds were in force.")
    after: Verdicts
    changed: int
    changes: list[VerdictChange]
    items: list[ChangedInspection] = Field(description="The newest that change, at most 50.")


def inspection_item(row: RowMapping) -> StoredInspection:
    """From a row of the history."""
    return StoredInspection.model_validate({name: row[name] for name in StoredInspection.model_fields})


def fault_item(row: RowMapping) -> FaultItem:
    """From a row of the faults."""
    return FaultItem.model_validate({**row, "count": row["frames"]})
