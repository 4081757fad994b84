"""Reviews: a person confirms or corrects an inspection. Key: the inspection id."""

from __future__ import annotations

from uuid import UUID

from pydantic import Field

from vigia_contracts.base import ObjectRef, Payload, UtcTime
from vigia_contracts.inspections import Verdict

REVIEW_RECORDED = "vigia.review.recorded.v1"


class Review(Payload):
    review_id: UUID
    inspection_id: UUID
    account_id: str
    verdict: Verdict
    labels: list[str] = Field(default_factory=list)
    mask: ObjectRef | None = None
    reviewer: str
    note: str = Field(default="", max_length=2000)
    reviewed_at: UtcTime
