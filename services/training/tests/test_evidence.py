"""How far distance from normal and known defects are believed, by what they said of images they had not seen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigia_training.learning.evidence import weigh

NORMAL, ANOMALOUS = 40, 20


def said(distance: float, known: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores of normal and anomalous images; the latter lie so many deviations higher."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(NORMAL + ANOMALOUS, 2))
    anomalous = np.arange(NORMAL + ANOMALOUS) >= NORMAL
    scores[anomalous] += (distance, known)
    return scores * (3.0, 0.2) + (5.0, -1.0), anomalous


def alone(count: int) -> np.ndarray:
    return np.arange(count)


@pytest.mark.parametrize(("distance", "known", "better"), [(4.0, 0.0, 0), (0.0, 4.0, 1)])
def test_the_evidence_that_tells_them_apart_counts_more(distance: float, known: float, better: int) -> None:
    scores, anomalous = said(distance, known)
    weights = weigh(scores, anomalous, alone(len(scores))).weights
    assert weights[better] > 2 * weights[1 - better]


@given(seed=st.integers(0, 1000), distance=st.floats(-3, 5), known=st.floats(-3, 5))
def test_more_evidence_never_speaks_for_a_part(seed: int, distance: float, known: float) -> None:
    scores, anomalous = said(distance, known, seed)
    weighing = weigh(scores, anomalous, alone(len(scores)))
    assert (weighing.weights >= 0).all()
    assert weighing.weights.sum() > 0
    higher = weighing.logits(scores + np.array([0.5, 0.5]))
    assert (higher >= weighing.logits(scores)).all()


def test_photographs_of_few_parts_change_little() -> None:
    scores, anomalous = said(4.0, 0.0)
    many = weigh(scores, anomalous, alone(len(scores))).weights
    few = weigh(scores, anomalous, np.where(anomalous, 1, 0)).weights
    none = weigh(scores[:NORMAL], anomalous[:NORMAL], alone(NORMAL)).weights
    assert few[0] / few[1] < many[0] / many[1]
    assert none == pytest.approx([0.5, 0.25])


def test_scores_that_never_differ_make_nothing_infinite() -> None:
    scores, anomalous = said(4.0, 0.0)
    scores[:, 1] = 7.0
    assert np.isfinite(weigh(scores, anomalous, alone(len(scores))).logits(scores)).all()
