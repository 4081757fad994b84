"""Which labelled images test, where the customer gave no test dataset, and which are held back together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

TEST_SHARE = 0.2


def split_labelled(
    labels: Sequence[Sequence[str]],
    seed: int,
    share: float = TEST_SHARE,
    groups: Sequence[int] | None = None,
    most_of_label: int | None = None,
) -> tuple[list[int], list[int]]:
    """Indices for training and for testing, both ascending; ``labels`` are those of each image.

    A ``share`` of the images of each label tests, and the same of those without any; at most half of them, or that
    share where it is more, so a label with a single image keeps it for training. ``groups``: images of one number stay
    on one side, so with large groups somewhat fewer test, or more. ``most_of_label``: no more images of a label test.
    The rarest label chooses first.
    """
    rng = np.random.default_rng(seed)
    numbers = list(range(len(labels))) if groups is None else list(groups)
    sizes: dict[int, dict[str, int]] = {}
    members: dict[str, list[int]] = {}
    for names, number in zip(labels, numbers, strict=True):
        for name in names or ("",):
            size = sizes.setdefault(number, {})
            size[name] = size.get(name, 0) + 1
            members.setdefault(name, []).append(number)
    most = {
        name: max(len(images) // 2, min(round(share * len(images)), len(images) - 1))
        for name, images in members.items()
    }
    if most_of_label is not None:
        most = {name: min(number, most_of_label) if name else number for name, number in most.items()}
    tested = dict.fromkeys(members, 0)
    test: set[int] = set()
    decided: set[int] = set()
    for name in sorted(members, key=lambda name: (len(members[name]), name)):
        wanted = max(round(share * len(members[name])), min(1, most[name]))
        order = [number for number in rng.permutation(members[name]).tolist() if number not in decided]
        # More than wanted only where groups are so large that without one there would be hardly any.
        for limit, enough in ((wanted, wanted), (most[name], (wanted + 1) // 2)):
            for number in order:
                size = sizes[number]
                fits = all(tested[one] + count <= most[one] for one, count in size.items())
                if tested[name] < enough and number not in test and fits and tested[name] + size[name] <= limit:
                    test.add(number)
                    for one, count in size.items():
                        tested[one] += count
        decided.update(members[name])
    return (
        [index for index, number in enumerate(numbers) if number not in test],
        [index for index, number in enumerate(numbers) if number in test],
    )


def untested(labels: Sequence[Sequence[str]], testing: Sequence[int]) -> list[str]:
    """Labels of two images or more of which none tests, sorted."""
    counts: dict[str, int] = {}
    for names in labels:
        for name in names:
            counts[name] = counts.get(name, 0) + 1
    known = {name for index in testing for name in labels[index]}
    return sorted(name for name, count in counts.items() if count > 1 and name not in known)
