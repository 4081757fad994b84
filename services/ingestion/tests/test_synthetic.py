"""The synthetic line: the same for the same seed, with the truth to be had without drawing."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vigia_contracts.cameras import SyntheticSource
from vigia_ingestion.domain.synthetic import draw, part, truth_of


@given(st.integers(-5, 2**40), st.integers(0, 10**6))
def test_a_part_is_the_same_every_time(seed: int, index: int) -> None:
    source = SyntheticSource(width=64, height=48, seed=seed)
    assert part(source, index) == part(source, index)
    assert np.array_equal(draw(source, index), draw(source, index))
    assert truth_of(part(source, index).part_id) == part(source, index).defective


def test_the_defect_rate_is_kept_and_seeds_differ() -> None:
    source = SyntheticSource(defect_rate=0.3, seed=1)
    truths = [part(source, index).defective for index in range(2000)]
    assert 0.26 < np.mean(truths) < 0.34
    assert truths != [part(source.model_copy(update={"seed": 2}), index).defective for index in range(2000)]


def test_a_defect_is_dark_where_the_part_says() -> None:
    source = SyntheticSource(width=320, height=240, defect_rate=1)
    image, box = draw(source, 3), part(source, 3).box
    assert image.shape == (240, 320, 3)
    assert image.dtype == np.uint8
    assert box is not None
    left, top, right, bottom = box
    assert image[top:bottom, left:right].mean() < 60
    assert image[110:130, 20:30].mean() > 200
    assert part(source.model_copy(update={"defect_rate": 0}), 3).box is None
