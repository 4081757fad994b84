"""Which images test, where the customer gave no test dataset."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MIN_TEST = 10
TEST_SHARE = 0.2


def split(anomalous: Sequence[bool], seed: int) -> tuple[list[int], list[int]]:
    """Indices for training and for testing, both ascending.

    Of each class a fifth tests, at least ten, at most half (so that something is left to learn from).
    """
    rng = np.random.default_rng(seed)
    flags = np.asarray(anomalous, dtype=bool)
    test: set[int] = set()
    for value in (False, True):
        members = np.flatnonzero(flags == value)
        count = min(max(MIN_TEST, round(TEST_SHARE * len(members))), len(members) // 2)
        test.update(rng.permutation(members)[:count].tolist())
    return [i for i in range(len(flags)) if i not in test], sorted(test)
