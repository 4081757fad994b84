"""Sharing out the images of a training dataset: a fifth, with every label on both sides, or a reason why not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigia_registry.datasets.distribution import SHARE, TooFewImagesError, choose

_LABELS = st.lists(st.sampled_from("abcde"), unique=True, max_size=3)


def counts(images: Sequence[Sequence[str]], chosen: Sequence[int]) -> tuple[Counter[str], Counter[str]]:
    """Images per label: all of them, and those that were chosen."""
    return (
        Counter(label for labels in images for label in labels),
        Counter(label for index in chosen for label in images[index]),
    )


def on_both_sides(images: Sequence[Sequence[str]], chosen: Sequence[int]) -> bool:
    every, tested = counts(images, chosen)
    return all(0 < tested[label] < number for label, number in every.items())


@given(st.lists(_LABELS, max_size=9))
def test_every_label_is_on_both_sides_where_that_can_be(images: list[list[str]]) -> None:
    sides = product((False, True), repeat=len(images))
    possible = any(on_both_sides(images, [index for index, side in enumerate(taken) if side]) for taken in sides)
    try:
        chosen = choose(images)
    except TooFewImagesError:
        assert not possible
    else:
        assert chosen == sorted(set(chosen))
        assert on_both_sides(images, chosen)
        assert choose(images) == chosen


@given(st.lists(_LABELS, min_size=40, max_size=120))
def test_it_is_a_fifth_where_labels_are_common(images: list[list[str]]) -> None:
    images += [[label] for label in "abcde" for _ in range(10)]
    chosen = choose(images)
    assert on_both_sides(images, chosen)
    assert len(chosen) == round(SHARE * len(images))


def test_it_is_representative() -> None:
    images = [[f"label-{number % 10}"] for number in range(5000)] + [["rare"]] * 10 + [[]] * 500
    chosen = choose(images)
    every, tested = counts(images, chosen)
    assert len(chosen) == round(SHARE * len(images))
    for label, number in every.items():
        assert abs(tested[label] - SHARE * number) <= 0.02 * number + 1, label
    unlabelled = sum(1 for index in chosen if not images[index])
    assert abs(unlabelled - SHARE * 500) <= 25
    # Not the first ones, nor every fifth one.
    assert len({index % 5 for index in chosen}) == 5


def test_many_labels_on_few_images_are_shared_out() -> None:
    """Each image has three of 250 labels, each label two to four images: nearly every image is needed somewhere."""
    images = [[f"l{(3 * number + step) % 250}" for step in range(3)] for number in range(250)]
    assert on_both_sides(images, choose(images))


@pytest.mark.parametrize(
    "images",
    [
        [["a"]],
        [["a", "b"], ["a"]],
        # Each has two images, and yet: where a has one on either side and b too, c has both of its on the same.
        [["a", "c"], ["a", "b"], ["b", "c"]],
    ],
)
def test_too_few_images_are_named(images: list[list[str]]) -> None:
    with pytest.raises(TooFewImagesError):
        choose(images)


def test_a_few_images_without_labels_are_no_trouble() -> None:
    assert choose([]) == []
    assert len(choose([[]] * 5)) == 1
