"""Which labelled images test, where the customer gave no test dataset."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

TEST_SHARE = 0.2


def split_labelled(
    labels: Sequence[Sequence[str]], seed: int, share: float = TEST_SHARE
) -> tuple[list[int], list[int]]:
    """Indices for training and for testing, both ascending; ``labels`` are those of each image.

    A ``share`` of the images of each label tests, and the same of those without any. The rarest label chooses first, so
    that it keeps images on both sides; one with a single image keeps it for training.
    """
    rng = np.random.default_rng(seed)
    members: dict[str, list[int]] = {}
    for index, names in enumerate(labels):
        for name in names or ("",):
            members.setdefault(name, []).append(index)
    test: set[int] = set()
    train: set[int] = set()
    for name in sorted(members, key=lambda name: (len(members[name]), name)):
        images = members[name]
        wanted = max(round(share * len(images)), min(1, len(images) - 1))
        missing = wanted - sum(index in test for index in images)
        free = [index for index in images if index not in test and index not in train]
        chosen = rng.permutation(free)[: max(missing, 0)].tolist()
        test.update(chosen)
        train.update(index for index in free if index not in test)
    return [index for index in range(len(labels)) if index not in test], sorted(test)
