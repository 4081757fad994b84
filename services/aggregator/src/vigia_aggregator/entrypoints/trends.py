"""``/api/v1/trends`` and ``/api/v1/faults``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query

from vigia_aggregator.adapters import history
from vigia_aggregator.adapters.trends import GroupBy, cells
from vigia_aggregator.domain.buckets import Resolution, trend_range
from vigia_aggregator.domain.cursors import PageCursor
from vigia_aggregator.domain.filters import FaultFilter, TrendFilter
from vigia_aggregator.domain.trend import Point, points
from vigia_aggregator.entrypoints.answers import Counts, FaultPage, Trend, TrendPoint, fault_item
from vigia_aggregator.entrypoints.context import SIGNED_IN, Account, Ctx
from vigia_aggregator.entrypoints.inspections import aware
from vigia_contracts.faults import FaultKind

router = APIRouter(prefix="/api/v1", dependencies=[SIGNED_IN])

_FROM = Query(alias="from", description="rounded down to where its bucket begins")
_TO = Query(alias="to", description="buckets that begin before; now, if not given")


@router.get("/trends", summary="Counts by verdict and defect rate over time", tags=["trends"])
async def get_trends(
    context: Ctx,
    account: Account,
    bucket: Resolution = Resolution.HOUR,
    since: Annotated[datetime | None, _FROM] = None,
    until: Annotated[datetime | None, _TO] = None,
    group_by: GroupBy | None = None,
    line: str | None = None,
    camera: str | None = None,
    product: str | None = None,
    project: str | None = None,
    model_version: str | None = None,
) -> Trend:
    """Exactly the inspections in the history, by time of capture. Shadow models are not counted. At most two days by
    minute, 62 by hour, ten years by day can be asked for at once."""
    start, end = trend_range(bucket, aware(since), aware(until), datetime.now(UTC))
    wanted = TrendFilter(account, line, camera, product, project, model_version)
    async with context.reading() as connection:
        found = await cells(connection, wanted, bucket, start, end, group_by)
    return Trend(
        bucket=bucket,
        since=start,
        until=end,
        group_by=group_by,
        points=[_point(point, group_by) for point in points(found)],
    )


@router.get("/faults", summary="When nobody looked", tags=["faults"])
async def list_faults(
    context: Ctx,
    account: Account,
    line: str | None = None,
    camera: str | None = None,
    kind: FaultKind | None = None,
    is_open: Annotated[bool | None, Query(alias="open", description="only those that last, or only ended ones")] = None,
    since: Annotated[datetime | None, Query(alias="from", description="began at or after")] = None,
    until: Annotated[datetime | None, Query(alias="to", description="began before")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(description="`next` of the page before")] = None,
) -> FaultPage:
    """Newest first by the time they began."""
    wanted = FaultFilter(account, line, camera, kind, is_open, aware(since), aware(until))
    place = PageCursor.decode(cursor) if cursor is not None else None
    async with context.reading() as connection:
        rows, following = await history.fault_page(connection, wanted, place, limit)
    return FaultPage(
        items=[fault_item(row) for row in rows], next=following.encode() if following is not None else None
    )


def _point(point: Point, group_by: GroupBy | None) -> TrendPoint:
    return TrendPoint(
        start=point.start,
        group=None if group_by is None else point.group,
        counts=Counts(**point.counts),
        total=point.total,
        defect_rate=point.defect_rate,
        mean_score=point.mean_score,
        mean_latency_seconds=point.mean_latency,
    )
