"""``/api/v1/replay``: what another threshold would have made of the parts that were inspected."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query

from vigia_aggregator.adapters import replays
from vigia_aggregator.domain.filters import InspectionFilter
from vigia_aggregator.domain.replay import Limits
from vigia_aggregator.entrypoints.answers import ChangedInspection, LeftOut, Replay, VerdictChange, Verdicts
from vigia_aggregator.entrypoints.context import SIGNED_IN, Account, Ctx
from vigia_aggregator.entrypoints.inspections import aware
from vigia_contracts.inspections import Origin, Verdict

router = APIRouter(prefix="/api/v1", tags=["inspections"], dependencies=[SIGNED_IN])

_Number = Annotated[float, Query(allow_inf_nan=False)]
_Bound = Annotated[float | None, Query(allow_inf_nan=False)]


@router.get("/replay", summary="What a threshold would have made of the last inspections of a version")
async def get_replay(
    context: Ctx,
    account: Account,
    project: str,
    model_version: str,
    threshold: _Number,
    review_low: _Bound = None,
    review_high: _Bound = None,
    last: Annotated[int, Query(ge=1, le=100_000, description="inspections to look at")] = 1000,
    line: str | None = None,
    camera: str | None = None,
    product: str | None = None,
    origin: Origin | None = None,
    since: Annotated[datetime | None, Query(alias="from", description="captured at or after")] = None,
    until: Annotated[datetime | None, Query(alias="to", description="captured before")] = None,
) -> Replay:
    """The verdict is decided by the score alone, so the stored scores tell. The areas of labels play no part in it.
    Changes nothing."""
    limits = Limits(threshold, review_low, review_high)
    limits.check()
    wanted = InspectionFilter(
        account_id=account,
        line=line,
        camera=camera,
        product=product,
        project=project,
        model_version=model_version,
        origin=origin,
        since=aware(since),
        until=aware(until),
    )
    async with context.reading() as connection:
        found = await replays.replay(connection, wanted, limits, last)
    before, after = Counter[Verdict](), Counter[Verdict]()
    for (was, would_be), count in found.counts.items():
        before[was] += count
        after[would_be] += count
    changes = [
        VerdictChange(before=was, after=would_be, count=count)
        for (was, would_be), count in sorted(found.counts.items())
        if was is not would_be
    ]
    return Replay(
        project=project,
        model_version=model_version,
        threshold=threshold,
        review_low=review_low,
        review_high=review_high,
        inspections=before.total() + found.invalid + found.unscored,
        left_out=LeftOut(INVALID=found.invalid, unscored=found.unscored),
        oldest=found.oldest,
        newest=found.newest,
        before=_verdicts(before),
        after=_verdicts(after),
        changed=sum(change.count for change in changes),
        changes=changes,
        items=[ChangedInspection(**asdict(one)) for one in found.changed],
    )


def _verdicts(counts: Counter[Verdict]) -> Verdicts:
    judged = counts.total()
    return Verdicts(
        **{verdict.value: counts[verdict] for verdict in (Verdict.PASS, Verdict.REJECT, Verdict.REVIEW)},
        reject_rate=counts[Verdict.REJECT] / judged if judged else None,
        review_rate=counts[Verdict.REVIEW] / judged if judged else None,
    )
