"""Reads trends from the rollups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from vigia_aggregator.adapters.tables import rollups
from vigia_aggregator.domain.buckets import Resolution
from vigia_aggregator.domain.filters import TrendFilter


class GroupBy(StrEnum):
    """What a trend may be split by."""

    LINE = "line"
    CAMERA = "camera"
    PRODUCT = "product"
    MODEL_VERSION = "model_version"


@dataclass(frozen=True, slots=True)
class Cell:
    """The inspections of one bucket, group and verdict. ``group`` is "" where the inspections name none."""

    bucket: datetime
    group: str
    verdict: str
    inspections: int
    scored: int
    score_sum: float
    latency_sum: float


async def cells(
    connection: AsyncConnection,
    wanted: TrendFilter,
    resolution: Resolution,
    since: datetime,
    until: datetime,
    group_by: GroupBy | None,
) -> Sequence[Cell]:
    """Buckets that begin in [since, until), oldest first; empty buckets are absent."""
    c = rollups.c
    columns = {
        GroupBy.LINE: c.line_id,
        GroupBy.CAMERA: c.camera_id,
        GroupBy.PRODUCT: c.product,
        GroupBy.MODEL_VERSION: c.model_version,
    }
    group: Any = literal("") if group_by is None else columns[group_by]
    query = select(
        c.bucket,
        group.label("group"),
        c.verdict,
        func.sum(c.inspections),
        func.sum(c.scored),
        func.sum(c.score_sum),
        func.sum(c.latency_sum),
    ).where(
        c.account_id == wanted.account_id,
        c.resolution == resolution.value,
        c.bucket >= since,
        c.bucket < until,
        ~c.shadow,
    )
    filters = (
        (c.line_id, wanted.line),
        (c.camera_id, wanted.camera),
        (c.product, wanted.product),
        (c.project, wanted.project),
        (c.model_version, wanted.model_version),
    )
    query = query.where(*(column == value for column, value in filters if value is not None))
    query = query.group_by(c.bucket, "group", c.verdict).order_by(c.bucket, "group", c.verdict)
    return [
        Cell(row[0], row[1], row[2], int(row[3]), int(row[4]), float(row[5]), float(row[6]))
        for row in await connection.execute(query)
    ]
