"""Which images test, where the customer gave no test dataset, and which are held back together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MIN_TEST = 10
TEST_SHARE = 0.2


def sample(anomalous: Sequence[bool], most: int, seed: int) -> list[int]:
    """Indices of ``most`` images at random, ascending; all where there are no more.

    Up to half are anomalous: of those there are usually few, and each says more.
    """
    flags = np.asarray(anomalous, dtype=bool)
    bad, good = np.flatnonzero(flags), np.flatnonzero(~flags)
    rng = np.random.default_rng(seed)
    count = min(len(bad), max(most // 2, most - len(good)))
    chosen = [rng.permutation(bad)[:count], rng.permutation(good)[: most - count]]
    return [int(index) for index in np.sort(np.concatenate(chosen))]


def split(anomalous: Sequence[bool], seed: int, groups: Sequence[int] | None = None) -> tuple[list[int], list[int]]:
    """Indices for training and for testing, both ascending.

    Of each class a fifth tests, at least ten, at most half (so that something is left to learn from). ``groups``:
    images of one number stay on one side, so with large groups somewhat fewer test, or more.
    """
    rng = np.random.default_rng(seed)
    flags = np.asarray(anomalous, dtype=bool)
    numbers = np.arange(len(flags)) if groups is None else np.asarray(groups, np.int64)
    members = [np.flatnonzero(flags == value) for value in (False, True)]
    sizes = np.stack(
        [np.bincount(numbers[of_class], minlength=int(numbers.max(initial=-1)) + 1) for of_class in members]
    )
    most = np.array([len(of_class) // 2 for of_class in members])
    wanted = np.minimum([max(MIN_TEST, round(TEST_SHARE * len(of_class))) for of_class in members], most)
    tested = np.zeros(2, np.int64)
    chosen: set[int] = set()
    order = [numbers[rng.permutation(of_class)].tolist() for of_class in members]
    for limit in (wanted, most):
        for value in (0, 1):
            # More than wanted only where groups are so large that without one there would be hardly any.
            enough = wanted[value] if limit is wanted else (wanted[value] + 1) // 2
            for number in order[value]:
                size = sizes[:, number]
                if tested[value] < enough and number not in chosen and (tested + size <= limit).all():
                    chosen.add(number)
                    tested += size
    test = np.isin(numbers, list(chosen)) if chosen else np.zeros(len(flags), bool)
    return np.flatnonzero(~test).tolist(), np.flatnonzero(test).tolist()


def folds(anomalous: NDArray[np.bool_], groups: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """For each image the number of the fold, 0 to ``count`` - 1, in which it is held back; groups stay together.

    Both classes are spread over the folds as evenly as the groups allow: the largest groups are dealt out first.
    """
    rng = np.random.default_rng(seed)
    result = np.zeros(len(groups), np.int64)
    load = np.zeros((2, count), np.int64)
    numbers, index = np.unique(groups, return_inverse=True)
    sizes = np.stack([np.bincount(index[anomalous == flag], minlength=len(numbers)) for flag in (False, True)])
    order = rng.permutation(len(numbers))
    for number in order[np.argsort(-sizes.sum(0)[order], kind="stable")].tolist():
        size = sizes[:, number]
        fold = min(range(count), key=lambda k: (int((load[:, k] * (size > 0)).sum()), int(load[:, k].sum())))
        load[:, fold] += size
        result[index == number] = fold
    return result
