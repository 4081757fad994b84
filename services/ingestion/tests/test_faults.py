"""What was not seen is told once: a blind stretch under one id, single frames in one sum."""

from datetime import UTC, datetime, timedelta

from vigia_contracts.cameras import Camera, PushSource
from vigia_contracts.faults import FaultKind
from vigia_ingestion.domain.faults import MOST_WAITING, FaultBook

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def book() -> FaultBook:
    return FaultBook(Camera(camera_id="c1", account_id="1", region="r", line_id="l1", source=PushSource()))


def test_a_blind_stretch_is_opened_once_and_closed_under_the_same_id() -> None:
    faults = book()
    assert faults.open_blind("stalled", START, "no frame")
    assert not faults.open_blind("refused", START + timedelta(seconds=9), None)
    closed = faults.close_blind(START + timedelta(seconds=60))
    assert faults.close_blind(START + timedelta(seconds=61)) is None
    opened, ended = faults.collect(sums=False)
    assert ended == closed
    assert (opened.cause, opened.ended_at, opened.line_id) == ("stalled", None, "l1")
    assert (ended.cause, ended.ended_at) == ("stalled", START + timedelta(seconds=60))
    assert opened.fault_id == ended.fault_id
    assert faults.collect() == []


def test_single_frames_are_summed_by_kind_and_cause() -> None:
    faults = book()
    for second in range(5):
        faults.count(FaultKind.DROPPED, "overload", START + timedelta(seconds=second))
    faults.count(FaultKind.INVALID, "codec", START)
    assert faults.collect(sums=False) == []
    dropped, invalid = faults.collect()
    assert (dropped.kind, dropped.count, dropped.started_at) == (FaultKind.DROPPED, 5, START)
    assert dropped.ended_at == START + timedelta(seconds=4)
    assert (invalid.kind, invalid.cause, invalid.count) == (FaultKind.INVALID, "codec", 1)
    assert faults.collect() == []


def test_the_book_is_bounded() -> None:
    faults = book()
    for _ in range(MOST_WAITING):
        faults.open_blind("refused", START, "x" * 5000)
        faults.close_blind(START)
    assert len(faults.collect()) == MOST_WAITING
