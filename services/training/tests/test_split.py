"""Which images test."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vigia_training.domain.size import tensor_size
from vigia_training.domain.split import split


def test_the_getting_started_set_tests_with_twenty_images_ten_of_them_anomalous() -> None:
    anomalous = [True] * 32 + [False] * 31
    learn, test = split(anomalous, seed=0)
    assert (len(learn), len(test)) == (43, 20)
    assert sum(anomalous[i] for i in test) == 10


@given(st.lists(st.booleans(), max_size=300), st.integers(0, 1000))
def test_every_image_learns_or_tests(anomalous: list[bool], seed: int) -> None:
    learn, test = split(anomalous, seed)
    assert sorted(learn + test) == list(range(len(anomalous)))
    assert split(anomalous, seed) == (learn, test)
    for flag in (True, False):
        total, tested = anomalous.count(flag), sum(anomalous[i] is flag for i in test)
        assert tested == min(max(10, round(0.2 * total)), total // 2)


@given(st.integers(64, 4096), st.integers(64, 4096))
def test_the_tensor_is_small_and_shaped_like_the_image(width: int, height: int) -> None:
    w, h = tensor_size(width, height)
    assert w % 32 == h % 32 == 0
    assert 90 * 90 < w * h < 1.3 * 256 * 256
    if 0.5 < width / height < 2:
        assert 0.75 < (w / h) / (width / height) < 1.33


def test_common_sizes() -> None:
    assert tensor_size(576, 768) == (224, 288)
    assert tensor_size(640, 480) == (288, 224)
    assert tensor_size(1000, 1000) == (256, 256)
