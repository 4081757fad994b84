"""Decisions without I/O."""

from __future__ import annotations

import ast
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from aggregator_help import event_of, make_inspection
from hypothesis import given, settings
from hypothesis import strategies as st

import vigia_aggregator
from vigia_aggregator.app.batches import BatchHandler
from vigia_aggregator.app.patience import Patience
from vigia_aggregator.domain.buckets import Resolution, defect_rate, floor, trend_range
from vigia_aggregator.domain.cursors import FollowCursor, PageCursor
from vigia_aggregator.domain.lag import Progress
from vigia_aggregator.domain.records import Record, Refused
from vigia_contracts.events import encode
from vigia_contracts.inspections import Inspection
from vigia_contracts.topics import INSPECTIONS, Topic
from vigia_runtime.errors import InvalidInput

SOURCES = Path(vigia_aggregator.__file__).parent
FORBIDDEN = {"take", "on_window_close"}


def forbidden_calls(source: str) -> list[str]:
    """Names in FORBIDDEN that are called or given as an argument."""
    tree = ast.parse(source)
    found = [
        node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in FORBIDDEN
    ]
    return found + [node.arg for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg in FORBIDDEN]


def test_agents_use_neither_take_nor_on_window_close() -> None:
    """``take`` acknowledges a batch whose body failed; ``on_window_close`` is called before changes are durable."""
    for path in SOURCES.rglob("*.py"):
        assert forbidden_calls(path.read_text()) == [], path


def test_the_rule_finds_what_it_forbids() -> None:
    assert forbidden_calls("async def a(s):\n async for x in s.take(10, within=1): pass") == ["take"]
    assert forbidden_calls("app.Table('t', on_window_close=f)") == ["on_window_close"]
    assert forbidden_calls("s.noack_take(10, within=1)") == []


@given(st.datetimes(timezones=st.just(UTC)), st.uuids())
def test_page_cursor_comes_back(moment: datetime, identity: UUID) -> None:
    cursor = PageCursor(moment, identity)
    assert PageCursor.decode(cursor.encode()) == cursor


@given(st.integers(min_value=0, max_value=2**53))
def test_follow_cursor_comes_back(sequence: int) -> None:
    assert FollowCursor.decode(FollowCursor(sequence).encode()) == FollowCursor(sequence)


@given(st.text())
def test_no_text_breaks_a_cursor(text: str) -> None:
    for kind in (PageCursor, FollowCursor):
        with suppress(InvalidInput):
            kind.decode(text)


@given(st.datetimes(timezones=st.just(UTC)), st.sampled_from(list(Resolution)))
def test_a_bucket_holds_its_moment(moment: datetime, resolution: Resolution) -> None:
    start = floor(moment, resolution)
    length = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}[resolution]
    assert start <= moment
    assert moment - start < length
    assert floor(start, resolution) == start


def test_trend_range_is_bounded() -> None:
    now = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
    assert trend_range(Resolution.MINUTE, None, None, now) == (datetime(2026, 3, 4, 4, 6, tzinfo=UTC), now)
    with pytest.raises(InvalidInput, match="at most 2 days"):
        trend_range(Resolution.MINUTE, now - timedelta(days=3), None, now)
    with pytest.raises(InvalidInput, match="before"):
        trend_range(Resolution.DAY, now, now - timedelta(days=1), now)


@given(st.integers(0, 1000), st.integers(0, 1000), st.integers(0, 1000))
def test_defect_rate(rejected: int, passed: int, review: int) -> None:
    rate = defect_rate(rejected, passed, review)
    if rejected + passed + review == 0:
        assert rate is None
    else:
        assert rate is not None
        assert 0 <= rate <= 1


def test_an_idle_worker_does_not_stall_and_a_stuck_one_does() -> None:
    progress = Progress(limit_seconds=10)
    assert not progress.stalled(0, 0)
    assert not progress.stalled(0, 1000)
    progress.finished = 5
    assert not progress.stalled(3, 1001)
    assert not progress.stalled(3, 1010)
    assert progress.stalled(3, 1012)
    progress.finished = 6
    assert not progress.stalled(3, 1013)


class PassingError(Exception):
    """Passes by itself."""


class InTheDataError(Exception):
    """Lies in the data."""


def record_of(inspection: Inspection, offset: int) -> Record:
    encoded = encode(INSPECTIONS, event_of(inspection))
    return Record(0, offset, encoded.key, encoded.value, encoded.headers, 0)


@settings(deadline=None, max_examples=30)  # the pauses between attempts are real
@given(
    st.lists(st.sampled_from(["good", "bad json", "unstorable"]), max_size=12),
    st.integers(min_value=0, max_value=2),
)
async def test_every_record_is_stored_or_buried_exactly_once(kinds: list[str], refusals: int) -> None:
    """Whatever is in a batch and however often the store is away: after ``handle`` nothing is open."""
    stored: list[UUID] = []
    buried: list[int] = []
    poison: set[UUID] = set()
    records = []
    for offset, kind in enumerate(kinds):
        inspection = make_inspection(offset)
        record = record_of(inspection, offset)
        if kind == "bad json":
            record = Record(0, offset, record.key, b"{", record.headers, 0)
        if kind == "unstorable":
            poison.add(inspection.inspection_id)
        records.append(record)

    async def store(batch: object) -> int:
        nonlocal refusals
        if refusals > 0:
            refusals -= 1
            raise PassingError
        assert isinstance(batch, list)
        if any(one.inspection_id in poison for one in batch):
            raise InTheDataError
        stored.extend(one.inspection_id for one in batch)
        return len(batch)

    class Letters:
        async def bury(self, topic: Topic, refused: Refused) -> None:
            buried.append(refused.record.offset)

    handler = BatchHandler(
        INSPECTIONS,
        Inspection,
        store=store,
        dead_letters=Letters(),
        patience=Patience(lambda error: isinstance(error, PassingError), 60, lambda what, error: None),
        unstorable=lambda error: isinstance(error, InTheDataError),
    )
    await handler.handle(records)
    assert stored == [make_inspection(n).inspection_id for n, kind in enumerate(kinds) if kind == "good"]
    assert sorted(buried) == [n for n, kind in enumerate(kinds) if kind != "good"]


async def test_patience_ends() -> None:
    calls = 0

    async def attempt() -> None:
        nonlocal calls
        calls += 1
        raise PassingError

    patience = Patience(lambda error: isinstance(error, PassingError), 0.3, lambda what, error: None)
    with pytest.raises(PassingError):
        await patience.run("store", attempt)
    assert calls > 1
