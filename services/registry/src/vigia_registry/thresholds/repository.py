"""Threshold records in the database."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import RowMapping, and_, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from vigia_registry.thresholds.domain import Limits, Prediction, Record, Source
from vigia_registry.thresholds.tables import thresholds


async def add(session: AsyncSession, model_version_id: UUID, record: Record) -> None:
    """Store a record."""
    await session.execute(
        insert(thresholds).values(
            model_version_id=model_version_id,
            number=record.number,
            threshold_id=record.threshold_id,
            value=record.limits.value,
            review_low=record.limits.review_low,
            review_high=record.limits.review_high,
            source=record.source.value,
            author=record.author,
            reason=record.reason,
            predicted=None if record.predicted is None else record.predicted.model_dump(mode="json"),
            created_at=record.created_at,
        )
    )


async def newest(session: AsyncSession, model_version_ids: Sequence[UUID]) -> dict[UUID, Record]:
    """The newest stored record of each version that has one."""
    c = thresholds.c
    last = (
        select(c.model_version_id, func.max(c.number).label("number"))
        .where(c.model_version_id.in_(model_version_ids))
        .group_by(c.model_version_id)
        .subquery()
    )
    is_last = and_(c.model_version_id == last.c.model_version_id, c.number == last.c.number)
    rows = await session.execute(select(thresholds).join(last, is_last))
    return {row.model_version_id: _record(row._mapping) for row in rows}


async def page(session: AsyncSession, model_version_id: UUID, before: int | None, limit: int) -> list[Record]:
    """Up to ``limit`` stored records of the version, newest first, older than number ``before``."""
    query = select(thresholds).where(thresholds.c.model_version_id == model_version_id)
    if before is not None:
        query = query.where(thresholds.c.number < before)
    rows = await session.execute(query.order_by(thresholds.c.number.desc()).limit(limit))
    return [_record(row._mapping) for row in rows]


def _record(row: RowMapping) -> Record:
    return Record(
        number=row["number"],
        threshold_id=row["threshold_id"],
        limits=Limits(row["value"], row["review_low"], row["review_high"]),
        source=Source(row["source"]),
        author=row["author"],
        reason=row["reason"],
        predicted=None if row["predicted"] is None else Prediction.model_validate(row["predicted"]),
        created_at=row["created_at"],
    )
