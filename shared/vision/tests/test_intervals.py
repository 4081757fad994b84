"""Intervals of rates, against the binomial distribution summed term by term."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigia_vision.intervals import clopper_pearson

_PAIRS = st.integers(1, 300).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total)))


def chance(counts: range, total: int, rate: float) -> float:
    """Of as many hits as any of ``counts``, where one in 1/``rate`` is a hit."""
    p = Fraction(rate)
    return float(sum(comb(total, k) * p**k * (1 - p) ** (total - k) for k in counts))


@given(_PAIRS)
def test_at_each_bound_what_was_counted_or_beyond_has_a_chance_of_a_fortieth(pair: tuple[int, int]) -> None:
    count, total = pair
    low, high = clopper_pearson(count, total)
    assert 0 <= low <= count / total <= high <= 1
    if count:
        assert chance(range(count, total + 1), total, low) == pytest.approx(0.025, rel=1e-9)
    if count < total:
        assert chance(range(count + 1), total, high) == pytest.approx(0.025, rel=1e-9)


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [  # scipy.stats.beta.ppf(0.025, count, total - count + 1), beta.ppf(0.975, count + 1, total - count)
        (0, 20, 0.0, 0.1684334709830853),
        (20, 20, 0.8315665290169146, 1.0),
        (3, 1_000, 0.0006190999316495713, 0.008742023238478303),
        (500_000, 1_000_000, 0.49901951919531184, 0.5009804808046882),
    ],
)
def test_known_intervals(count: int, total: int, low: float, high: float) -> None:
    assert clopper_pearson(count, total) == pytest.approx((low, high), rel=1e-9)


def test_of_nothing_nothing_is_known() -> None:
    assert clopper_pearson(0, 0) == (0.0, 1.0)
    with pytest.raises(ValueError, match="3 of 2"):
        clopper_pearson(3, 2)
