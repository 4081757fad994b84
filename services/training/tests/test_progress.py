"""The share that is done never falls, and the time that is left is what the work so far says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigia_training.domain.progress import Moment, Pace

EXPECTED = {"reading": 10.0, "training": 100.0, "evaluating": 10.0}


class Clock:
    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


def followed(
    steps: list[tuple[float, str, float]], expected: dict[str, float] | None = None
) -> tuple[list[Moment], list[float]]:
    """Moments of (seconds passed, stage, share done), and when each was."""
    clock, moments, at = Clock(), [], []
    pace = Pace(EXPECTED if expected is None else expected, moments.append, clock)
    for seconds, stage, share in steps:
        clock.now += seconds
        pace(stage, share)
        at.append(clock.now - 50.0)
    return moments, at


def even(factor: float) -> list[tuple[float, str, float]]:
    """A training whose stages take ``factor`` times what is expected, told in hundredths."""
    return [
        (factor * seconds / 100, stage, part / 100) for stage, seconds in EXPECTED.items() for part in range(1, 101)
    ]


@pytest.mark.parametrize("factor", [1.0, 3.0, 0.3])
def test_remaining_time_is_right_once_the_speed_has_shown(factor: float) -> None:
    moments, at = followed(even(factor))
    whole = 120 * factor
    for moment, passed in zip(moments, at, strict=True):
        if passed > 0.25 * whole and moment.stage == "training":
            assert moment.remaining == pytest.approx(whole - passed, rel=0.15, abs=0.05 * whole)
    assert moments[-1] == Moment("evaluating", 1.0, 0.0)


def test_a_training_that_goes_on_from_a_checkpoint_is_no_faster_for_it() -> None:
    moments, _ = followed(
        [(10.0, "reading", 1.0), (1.0, "training", 0.5), *[(1.0, "training", 0.5 + n / 100) for n in range(1, 11)]]
    )
    assert moments[-1].remaining == pytest.approx(40 + 10, rel=0.2)


def test_a_stage_that_nobody_expected_counts_too() -> None:
    moments, _ = followed([(1.0, "reading", 1.0), *[(2.0, "choosing", n / 10) for n in range(11)]], {"reading": 1.0})
    assert moments[5].remaining == pytest.approx(10.0, rel=0.3)
    assert moments[-1].fraction == 1.0


@given(
    st.lists(
        st.tuples(st.floats(0, 1e4), st.sampled_from([*EXPECTED, "choosing"]), st.floats(0, 1)), min_size=1, max_size=40
    )
)
def test_whatever_is_told_the_share_never_falls(steps: list[tuple[float, str, float]]) -> None:
    moments, _ = followed(steps)
    fractions = [moment.fraction for moment in moments]
    assert fractions == sorted(fractions)
    assert all(0 <= fraction <= 1 for fraction in fractions)
    assert all(moment.remaining >= 0 for moment in moments)
