"""Which entries of a training dataset become a test dataset: a fifth, with some of every label on either side."""

from __future__ import annotations

import random
from array import array
from collections.abc import Sequence
from typing import Final

#: How much of the entries is for testing.
SHARE: Final = 0.2
#: How often an image changes sides until every label has some on both. A label has few images where that is hard.
_MOST_CHANGES: Final = 20_000


class TooFewImagesError(Exception):
    """The images cannot be shared out so that every label has some on both sides."""


def choose(images: Sequence[Sequence[str]], seed: int = 0) -> list[int]:
    """Indices of a representative fifth of ``images``, each given by its labels, every label once; in order.

    The same images give the same choice. Images without labels are shared out, too, and speak for no label.
    TooFewImagesError.
    """
    names = {name: number for number, name in enumerate(dict.fromkeys(name for labels in images for name in labels))}
    split = _Split(images, names, random.Random(seed))  # noqa: S311  the same dice every time
    split.share_out()
    split.mend()
    split.level()
    return [index for index, testing in enumerate(split.testing) if testing]


class _Split:
    """Images on two sides. ``testing`` says of each whether it is on the second."""

    def __init__(self, images: Sequence[Sequence[str]], names: dict[str, int], dice: random.Random) -> None:
        self.dice = dice
        self.labels = [tuple(names[name] for name in labels) for labels in images]
        self.having = [array("L") for _ in names]
        for index, labels in enumerate(self.labels):
            for label in labels:
                self.having[label].append(index)
        if any(len(indices) < 2 for indices in self.having):
            raise TooFewImagesError
        self.testing = bytearray(len(images))
        self.tested = [0] * len(names)

    def share_out(self) -> None:
        """Rarest labels first, each image to the side that wants more of its label, and else more images at all."""
        count = len(self.labels)
        wanted = [max(1.0, SHARE * len(indices)) for indices in self.having]
        kept = [len(indices) - want for indices, want in zip(self.having, wanted, strict=True)]
        left = [len(indices) for indices in self.having]
        whole_wanted, whole_kept = SHARE * count, (1 - SHARE) * count
        done = bytearray(count)
        remaining = set(range(len(self.having)))
        while remaining:
            label = min(remaining, key=lambda one: (left[one], one))
            remaining.remove(label)
            indices = [index for index in self.having[label] if not done[index]]
            self.dice.shuffle(indices)
            for index in indices:
                done[index] = 1
                testing = (wanted[label], whole_wanted) > (kept[label], whole_kept)
                if testing:
                    self._move(index)
                    whole_wanted -= 1
                else:
                    whole_kept -= 1
                wants = wanted if testing else kept
                for own in self.labels[index]:
                    wants[own] -= 1
                    left[own] -= 1
        rest = [index for index in range(count) if not done[index]]
        for index in self.dice.sample(rest, min(len(rest), max(0, round(whole_wanted)))):
            self._move(index)

    def mend(self) -> None:
        """Give labels that one side lacks an image there; TooFewImagesError where that does not come about."""
        lacking = {label for label in range(len(self.having)) if self._lacks(label)}
        for _ in range(_MOST_CHANGES):
            if not lacking:
                return
            label = self.dice.choice(sorted(lacking))
            # The image whose other labels can spare it best.
            indices = self.dice.sample(self.having[label], min(len(self.having[label]), 100))
            index = min(indices, key=lambda one: sum(self._needs(own, one) for own in self.labels[one]))
            self._move(index)
            for own in self.labels[index]:
                (lacking.add if self._lacks(own) else lacking.discard)(own)
        raise TooFewImagesError

    def level(self) -> None:
        """Come nearer to a fifth of the images by those that no label needs where they are."""
        over = sum(self.testing) - round(SHARE * len(self.labels))
        side = over > 0
        for index in self.dice.sample(range(len(self.labels)), len(self.labels) if over else 0):
            if over == 0:
                return
            labels = self.labels[index]
            if bool(self.testing[index]) is side and not any(self._needs(label, index) for label in labels):
                self._move(index)
                over -= 1 if side else -1

    def _move(self, index: int) -> None:
        self.testing[index] ^= 1
        for label in self.labels[index]:
            self.tested[label] += 1 if self.testing[index] else -1

    def _lacks(self, label: int) -> bool:
        return not 0 < self.tested[label] < len(self.having[label])

    def _needs(self, label: int, index: int) -> bool:
        """Whether the image is the label's only one on its side."""
        here = self.tested[label] if self.testing[index] else len(self.having[label]) - self.tested[label]
        return here == 1
