"""What becomes of a version: announced only when it answers everywhere, gone only when it is gone everywhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigia_registry.hosting.domain import Desired, Hosting, Observed
from vigia_registry.hosting.replica_plan import Wanted
from vigia_registry.hosting.versions import Change, Limits, ReplicaReport, Report, advance, wanted

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LIMITS = Limits(drain=timedelta(seconds=5), drain_limit=timedelta(seconds=30), start=timedelta(minutes=10))


def hosting(
    desired: Desired, observed: Observed, *, age: float = 0, in_service: int = 0, told: float | None = None
) -> Hosting:
    """A version that became ``observed`` so many seconds ago, and of which nobody was told since ``told`` seconds."""
    return Hosting(
        id=UUID(int=1),
        arn="arn",
        triton_model="m",
        desired=desired,
        observed=observed,
        units=2,
        in_service_units=in_service,
        generation=1,
        since=NOW - timedelta(seconds=age),
        told_at=None if told is None else NOW - timedelta(seconds=told),
    )


HOSTED, NONE = Desired.HOSTED, Desired.NONE
READY, GONE, PENDING, LOST, FAILED = Report.READY, Report.GONE, Report.PENDING, Report.LOST, Report.FAILED
#: The units in service where a version of two units is reported so; of one on its way nothing is known.
UNITS = {READY: 2, GONE: 0, LOST: 0, FAILED: 1, PENDING: None}


def reports(*found: Report) -> list[ReplicaReport]:
    return [
        ReplicaReport(f"t{number}", report, "" if report is READY else "because", UNITS[report])
        for number, report in enumerate(found)
    ]


@pytest.mark.parametrize(
    ("before", "seen", "change"),
    [
        (hosting(HOSTED, Observed.ABSENT), (GONE,), Change(Observed.LOADING)),
        (hosting(HOSTED, Observed.DRAINING), (READY,), Change(Observed.LOADING)),
        (hosting(HOSTED, Observed.LOADING), (GONE,), None),
        (hosting(HOSTED, Observed.LOADING), (READY, PENDING), None),
        (hosting(HOSTED, Observed.LOADING), (READY, READY), Change(Observed.SERVING, in_service_units=2)),
        (
            hosting(HOSTED, Observed.LOADING),
            (READY, LOST),
            Change(Observed.SERVING, "t1: because", in_service_units=1),
        ),
        (hosting(HOSTED, Observed.LOADING), (LOST,), None),
        (hosting(HOSTED, Observed.LOADING), (READY, FAILED), Change(Observed.FAILED, "t1: because")),
        (
            hosting(HOSTED, Observed.LOADING, age=601),
            (LOST,),
            Change(Observed.FAILED, "not ready in time: t0: because"),
        ),
        # A Triton that restarts or fails does not touch what was announced, only what is in service.
        (
            hosting(HOSTED, Observed.SERVING, in_service=2),
            (GONE,),
            Change(Observed.SERVING, "t0: because", in_service_units=0),
        ),
        (
            hosting(HOSTED, Observed.SERVING, in_service=2),
            (FAILED,),
            Change(Observed.SERVING, "t0: because", in_service_units=1),
        ),
        (
            hosting(HOSTED, Observed.SERVING, in_service=2),
            (READY, LOST),
            Change(Observed.SERVING, "t1: because", in_service_units=1),
        ),
        (hosting(HOSTED, Observed.SERVING, in_service=2), (READY, READY), None),
        # A hosting process that has just begun does not know yet.
        (hosting(HOSTED, Observed.SERVING, in_service=2), (READY, PENDING), None),
        (hosting(HOSTED, Observed.SERVING, in_service=1), (READY,), Change(Observed.SERVING, in_service_units=2)),
        (hosting(HOSTED, Observed.FAILED), (GONE,), None),
        (hosting(NONE, Observed.SERVING), (READY,), Change(Observed.DRAINING)),
        (hosting(NONE, Observed.DRAINING, age=29, told=4), (GONE,), None),
        (hosting(NONE, Observed.DRAINING, age=29), (GONE,), None),
        (hosting(NONE, Observed.DRAINING, age=6, told=6), (READY,), None),
        (hosting(NONE, Observed.DRAINING, age=6, told=6), (GONE, LOST), Change(Observed.ABSENT)),
        (hosting(NONE, Observed.DRAINING, age=31), (GONE,), Change(Observed.ABSENT)),
        (hosting(NONE, Observed.LOADING), (PENDING,), None),
        (hosting(NONE, Observed.LOADING), (GONE,), Change(Observed.ABSENT)),
        (hosting(NONE, Observed.FAILED), (GONE,), Change(Observed.ABSENT)),
        (hosting(NONE, Observed.ABSENT), (GONE,), None),
    ],
)
def test_changes(before: Hosting, seen: tuple[Report, ...], change: Change | None) -> None:
    assert advance(before, reports(*seen), NOW, LIMITS) == change


@pytest.mark.parametrize(
    ("version", "wish"),
    [
        (hosting(HOSTED, Observed.ABSENT), None),
        (hosting(HOSTED, Observed.LOADING), Wanted(2)),
        (hosting(HOSTED, Observed.SERVING), Wanted(2)),
        (hosting(HOSTED, Observed.FAILED), None),
        (hosting(NONE, Observed.SERVING), Wanted(2, load=False)),
        (hosting(NONE, Observed.DRAINING, age=29, told=4), Wanted(2, load=False)),
        (hosting(NONE, Observed.DRAINING, age=29), Wanted(2, load=False)),
        (hosting(NONE, Observed.DRAINING, age=6, told=6), None),
        (hosting(NONE, Observed.DRAINING, age=31), None),
        (hosting(NONE, Observed.LOADING), None),
    ],
)
def test_what_tritons_should_hold(version: Hosting, wish: Wanted | None) -> None:
    assert wanted(version, NOW, LIMITS) == wish


@given(
    desired=st.sampled_from(Desired),
    observed=st.sampled_from(Observed),
    age=st.floats(0, 10_000),
    seen=st.lists(st.sampled_from(Report), min_size=1, max_size=3),
)
def test_nothing_is_announced_that_does_not_answer(
    desired: Desired, observed: Observed, age: float, seen: list[Report]
) -> None:
    change = advance(hosting(desired, observed, age=age), reports(*seen), NOW, LIMITS)
    if change is not None and change.observed is Observed.SERVING:
        assert desired is HOSTED
    if change is not None and change.observed is Observed.SERVING is not observed:
        assert READY in seen
        assert {READY, LOST} >= set(seen)
    if change is not None and change.observed is Observed.ABSENT:
        assert desired is NONE
        assert not {READY, PENDING} & set(seen)
