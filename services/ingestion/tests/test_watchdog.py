"""The watchdog decides from numbers alone: every case of the table, and what must hold for any history."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigia_ingestion.domain.watchdog import (
    Action,
    History,
    Limits,
    Observation,
    backoff,
    decide,
    limits_for,
    reader_ended,
)

LIMITS = Limits(stall=5, opening=10, failed_after=3)


def reader(now: float, opened: float, last: float | None = None, *, held_back: bool = False) -> Observation:
    return Observation(now, True, opened, None if last is None else opened, last, held_back)


def no_reader(now: float) -> Observation:
    return Observation(now, False, now)


@pytest.mark.parametrize(
    ("seen", "history", "action"),
    [
        pytest.param(no_reader(0), History(), Action.RESTART, id="first start at once"),
        pytest.param(no_reader(100), History(1, 101), Action.HOLD, id="back-off not over"),
        pytest.param(no_reader(101), History(1, 101), Action.RESTART, id="back-off over"),
        pytest.param(no_reader(100), History(3, 101), Action.FAILED, id="in vain too often"),
        pytest.param(no_reader(101), History(3, 101), Action.RESTART, id="a failed camera is still tried"),
        pytest.param(reader(10, 0), History(), Action.OK, id="still opening"),
        pytest.param(reader(10.1, 0), History(), Action.RESTART, id="never opened"),
        pytest.param(reader(100, 0, 95), History(), Action.OK, id="frames come"),
        pytest.param(reader(100, 0, 94.9), History(), Action.RESTART, id="frames stopped"),
        pytest.param(reader(100, 0, 20, held_back=True), History(), Action.OK, id="we hold it back"),
    ],
)
def test_decisions(seen: Observation, history: History, action: Action) -> None:
    assert decide(seen, history, LIMITS) is action


def test_a_folder_may_be_silent_but_not_gone() -> None:
    assert decide(reader(1e6, 0), History(), LIMITS, silence_is_fine=True) is Action.OK
    assert decide(no_reader(1e6), History(1, 1e7), LIMITS, silence_is_fine=True) is Action.HOLD


def test_a_slow_camera_is_not_stalled_between_frames() -> None:
    assert limits_for(5, None).stall == 5
    assert limits_for(5, 0.1).stall == 20
    assert limits_for(60, 10) == Limits(stall=60, opening=60)


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_backoff_stays_within_its_bounds(attempt: int, jitter: float) -> None:
    assert 1 <= backoff(attempt, Limits(), jitter) <= 60


@given(st.integers(1, 50), st.floats(0, 1, exclude_max=True))
def test_backoff_doubles(attempt: int, jitter: float) -> None:
    assert backoff(attempt + 1, Limits(), jitter) >= backoff(attempt, Limits(), jitter)
    assert backoff(3, Limits(), jitter) > backoff(1, Limits(), jitter)


@given(st.lists(st.floats(0, 29), min_size=1, max_size=20), st.floats(0, 1, exclude_max=True))
def test_short_runs_never_reset_the_backoff(runs: list[float], jitter: float) -> None:
    history, now = History(), 0.0
    for run in runs:
        now = history.retry_at + run
        history = reader_ended(reader(now, history.retry_at, now), history, LIMITS, jitter)
    assert history.attempts == len(runs)
    assert history.retry_at > now


def test_a_good_run_wipes_the_slate() -> None:
    history = reader_ended(reader(130.5, 100, 130), History(7, 99), LIMITS, 0)
    assert history == History(1, 131.5)
    assert reader_ended(reader(130.5, 100, 129), History(7, 99), LIMITS, 0).attempts == 8
