"""Which thresholds may be, what they make of a score, and how far a rate can be believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigia_contracts.base import ObjectRef
from vigia_contracts.inspections import Verdict
from vigia_registry.thresholds.domain import Limits, Rate, Tally
from vigia_registry.thresholds.errors import BadThreshold
from vigia_vision.interpret import confidence, score_of

FINE = [Limits(0.5), Limits(0.5, 0.4, 0.6), Limits(0.5, 0.5, 0.6), Limits(0.5, 0.0, 1.0), Limits(0.5, 0.4, 0.5)]
BAD = [
    (Limits(0.0), "value"),
    (Limits(1.0), "value"),
    (Limits(-0.1), "value"),
    (Limits(float("nan")), "value"),
    (Limits(0.5, 0.4), "review_high"),
    (Limits(0.5, None, 0.6), "review_low"),
    (Limits(0.5, 0.51, 0.6), "review_low"),
    (Limits(0.5, -0.1, 0.6), "review_low"),
    (Limits(0.5, float("nan"), 0.6), "review_low"),
    (Limits(0.5, 0.4, 0.49), "review_high"),
    (Limits(0.5, 0.4, 1.1), "review_high"),
    (Limits(0.5, 0.4, float("nan")), "review_high"),
    (Limits(0.5, 0.5, 0.5), "review_high"),
]


@pytest.mark.parametrize("limits", FINE)
def test_fine_limits(limits: Limits) -> None:
    limits.check()


@pytest.mark.parametrize(("limits", "field"), BAD)
def test_bad_limits_name_the_number(limits: Limits, field: str) -> None:
    with pytest.raises(BadThreshold) as refused:
        limits.check()
    assert refused.value.details["problems"][0]["where"] == field


@pytest.mark.parametrize(
    ("score", "without", "with_band"),
    [
        (0.39, Verdict.PASS, Verdict.PASS),
        (0.4, Verdict.PASS, Verdict.REVIEW),
        (0.5, Verdict.REJECT, Verdict.REVIEW),
        (0.6, Verdict.REJECT, Verdict.REJECT),
    ],
)
def test_a_band_takes_its_low_end_and_not_its_high_one(score: float, without: Verdict, with_band: Verdict) -> None:
    assert Limits(0.5).verdict(score) is without
    assert Limits(0.5, 0.4, 0.6).verdict(score) is with_band


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [  # scipy.stats.beta.ppf(0.025, count, of - count + 1), beta.ppf(0.975, count + 1, of - count)
        (0, 20, 0.0, 0.1684334709830853),
        (1, 20, 0.0012650894979498038, 0.24873276277202777),
        (10, 20, 0.27195784956079183, 0.7280421504392081),
        (20, 20, 0.8315665290169146, 1.0),
        (3, 1000, 0.0006190999316495713, 0.008742023238478303),
    ],
)
def test_the_interval_is_exact(count: int, of: int, low: float, high: float) -> None:
    rate = Rate.among(count, of)
    assert rate is not None
    assert (rate.count, rate.of, rate.rate) == (count, of, count / of)
    assert (rate.low, rate.high) == (pytest.approx(low, rel=1e-9), pytest.approx(high, rel=1e-9))


@given(st.integers(1, 10_000).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
def test_a_rate_lies_in_its_interval(pair: tuple[int, int]) -> None:
    rate = Rate.among(*pair)
    assert rate is not None
    assert 0 <= rate.low <= rate.rate <= rate.high <= 1


def test_no_images_tell_no_rate() -> None:
    assert Rate.among(0, 0) is None
    tally = Tally.of(Limits(0.5))
    tally.add(0.7, False)
    tally.add(0.2, False)
    found = tally.prediction(ObjectRef(bucket="b", key="k"))
    assert found.misses is None
    assert found.false_rejects is not None
    assert (found.false_rejects.count, found.false_rejects.of) == (1, 2)


@given(st.floats(0, 1), st.floats(0.001, 0.999))
def test_a_score_is_found_again_from_its_confidence(score: float, threshold: float) -> None:
    found = score_of(confidence(score, threshold), score >= threshold, threshold)
    assert found == pytest.approx(score, abs=1e-12)
