"""Reads samples: one metric over time, and which metrics there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import String, func, literal, or_, select, tuple_, union
from sqlalchemy.ext.asyncio import AsyncConnection

from vigia_aggregator.adapters.tables import samples
from vigia_aggregator.domain.metrics import LOOKOUT_METRICS, TOTAL, UNITS, Metric, resolution_for


@dataclass(frozen=True, slots=True)
class Selection:
    """One metric of a service of an account in a region; without a version of the whole project, without a project or
    an operation of everything."""

    account_id: str
    region: str
    service: str
    metric: Metric
    project: str | None = None
    model_version: str | None = None
    operation: str | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """The samples of one period, which begins at ``at``."""

    at: datetime
    samples: int
    sum: float
    minimum: float
    maximum: float

    @property
    def average(self) -> float:
        """Sum / samples; there is no point without a sample."""
        return self.sum / self.samples


async def points(
    connection: AsyncConnection,
    wanted: Selection,
    start: datetime,
    end: datetime,
    period: int,
    *,
    limit: int,
    newest_first: bool = False,
    after: datetime | None = None,
) -> list[Point]:
    """The periods (seconds) from ``start`` on that begin before ``end`` and have samples; at most ``limit``.

    ``after``: only what follows the point that began then, in the order asked for.
    """
    c = samples.c
    at = func.date_bin(timedelta(seconds=period), c.bucket, start)
    found = [
        c.resolution == resolution_for(start, period).value,
        c.account_id == wanted.account_id,
        c.region == wanted.region,
        c.service == wanted.service,
        c.metric == wanted.metric.value,
        c.bucket >= start,
        c.bucket < end,
    ]
    given = ((c.project, wanted.project), (c.model_version, wanted.model_version), (c.operation, wanted.operation))
    found += [column == value for column, value in given if value is not None]
    if after is not None:
        found.append(c.bucket < after if newest_first else c.bucket >= after + timedelta(seconds=period))
    query: Any
    order: Any
    if wanted.metric in UNITS and wanted.model_version is None:
        # Units of several versions add up at every moment, and only then are averaged over time.
        value = func.sum(c.sum) / func.max(c.samples)
        moments = (
            select(at.label("at"), func.max(c.samples).label("samples"), value.label("value"))
            .where(*found)
            .group_by(c.bucket)
            .subquery()
        )
        m = moments.c
        query = select(
            m.at, func.sum(m.samples), func.sum(m.value * m.samples), func.min(m.value), func.max(m.value)
        ).group_by(m.at)
        order = m.at
    else:
        query = select(
            at.label("at"), func.sum(c.samples), func.sum(c.sum), func.min(c.minimum), func.max(c.maximum)
        ).where(*found)
        query = query.group_by(at)
        order = at
    query = query.order_by(order.desc() if newest_first else order).limit(limit)
    return [
        Point(row[0], int(row[1]), float(row[2]), float(row[3]), float(row[4]))
        for row in await connection.execute(query)
    ]


#: Service, metric, project, version and operation; the last three are "" where the metric is not by them.
Named = tuple[str, str, str, str, str]


async def names(
    connection: AsyncConnection, account_id: str, region: str, since: datetime, after: Named | None, limit: int
) -> Sequence[Named]:
    """Metrics with a sample after ``since``, by service and name: of every version, of every project that has calls of
    its own, of every operation, and of all together."""
    c = samples.c
    held = (c.resolution == TOTAL, c.account_id == account_id, c.region == region, c.last_at >= since)
    none = literal("", String)
    by_project = c.service == LOOKOUT_METRICS.service
    every = union(
        select(c.service, c.metric, c.project, c.model_version, none.label("operation")).where(
            *held, c.model_version != ""
        ),
        select(c.service, c.metric, c.project, none, none).where(*held, c.project != "", by_project),
        select(c.service, c.metric, none, none, c.operation).where(*held, c.operation != ""),
        select(c.service, c.metric, none, none, none).where(*held, or_(by_project, c.operation != "")),
    ).subquery()
    columns = tuple(every.columns)
    query = select(*columns).order_by(*columns).limit(limit)
    if after is not None:
        query = query.where(tuple_(*columns) > tuple_(*after))
    return [(row[0], row[1], row[2], row[3], row[4]) for row in await connection.execute(query)]
