"""Counts, in the database, what other limits would have made of the newest inspections of a version."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, CompoundSelect, and_, case, func, literal, null, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from vigia_aggregator.adapters.history import matching
from vigia_aggregator.adapters.tables import inspections
from vigia_aggregator.domain.filters import InspectionFilter
from vigia_aggregator.domain.replay import Limits
from vigia_contracts.inspections import Verdict

#: Changed inspections that are named.
NAMED: Final = 50
_JUDGED: Final = (Verdict.PASS, Verdict.REJECT, Verdict.REVIEW)


@dataclass(frozen=True, slots=True)
class Changed:
    """An inspection whose verdict would have been another."""

    inspection_id: UUID
    captured_at: datetime
    score: float
    before: Verdict
    after: Verdict


@dataclass(frozen=True, slots=True)
class Replay:
    """``counts``: judged inspections by their verdict and what it would have been. ``invalid`` and ``unscored`` are
    left out of them. ``changed``: the newest ``NAMED`` whose verdict changes. Times are of capture."""

    counts: Counter[tuple[Verdict, Verdict]]
    invalid: int
    unscored: int
    changed: Sequence[Changed]
    oldest: datetime | None
    newest: datetime | None


async def replay(connection: AsyncConnection, wanted: InspectionFilter, limits: Limits, last: int) -> Replay:
    """Of the ``last`` inspections that match, by time of capture. Shadow models decide nothing and are left away."""
    return _read((await connection.execute(statement(wanted, limits, last))).all())


def statement(wanted: InspectionFilter, limits: Limits, last: int) -> CompoundSelect[Any]:
    """Rows of counts, without an id, and of inspections that change.

    One statement, so that what is named is of what is counted, whatever is stored meanwhile.
    """
    c = inspections.c
    columns = (c.inspection_id, c.captured_at, c.verdict, c.score, _verdict(c.score, limits).label("after"))
    query = matching(select(*columns), wanted).where(~c.shadow)
    looked = query.order_by(c.captured_at.desc(), c.inspection_id.desc()).limit(last).cte("looked")
    k = looked.c
    counts = select(
        null().label("inspection_id"),
        func.min(k.captured_at).label("oldest"),
        func.max(k.captured_at).label("newest"),
        k.verdict,
        null().label("score"),
        k.after,
        func.count().label("inspections"),
    ).group_by(k.verdict, k.after)
    changed = (
        select(k.inspection_id, k.captured_at, k.captured_at, k.verdict, k.score, k.after, literal(1))
        .where(k.verdict.in_(_JUDGED), k.after != k.verdict)
        .order_by(k.captured_at.desc(), k.inspection_id.desc())
        .limit(NAMED)
    )
    return union_all(counts, changed.subquery().select())


def _verdict(score: ColumnElement[Any], limits: Limits) -> ColumnElement[Any]:
    """What detection makes of the score; null where there is none."""
    branches = [(score.is_(None), null()), (score >= limits.value, literal(Verdict.REJECT.value))]
    if limits.review_low is not None and limits.review_high is not None:
        band = and_(score >= limits.review_low, score < limits.review_high)
        branches.insert(1, (band, literal(Verdict.REVIEW.value)))
    return case(*branches, else_=literal(Verdict.PASS.value))


def _read(rows: Sequence[Any]) -> Replay:
    counts: Counter[tuple[Verdict, Verdict]] = Counter()
    changed: list[Changed] = []
    invalid = unscored = 0
    times: list[datetime] = []
    for row in rows:
        before = Verdict(row.verdict)
        if row.inspection_id is not None:
            changed.append(Changed(row.inspection_id, row.oldest, row.score, before, Verdict(row.after)))
            continue
        times += [row.oldest, row.newest]
        if before is Verdict.INVALID:
            invalid += row.inspections
        elif row.after is None:
            unscored += row.inspections
        else:
            counts[before, Verdict(row.after)] += row.inspections
    # A union promises no order.
    changed.sort(key=lambda one: (one.captured_at, one.inspection_id), reverse=True)
    return Replay(counts, invalid, unscored, changed, min(times, default=None), max(times, default=None))
