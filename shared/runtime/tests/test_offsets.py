"""Only contiguous finished offsets are ever offered for commit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigia_runtime.kafka.offsets import PartitionOffsets


@given(
    gaps=st.lists(st.integers(1, 3), min_size=1, max_size=40),
    order=st.randoms(use_true_random=False),
    finished=st.floats(0, 1),
)
def test_base_is_the_first_unfinished(gaps: list[int], order: object, finished: float) -> None:
    books = PartitionOffsets.starting_at(100)
    offsets = [100 + sum(gaps[: i + 1]) - 1 for i in range(len(gaps))]
    for offset in offsets:
        books.begin(offset)
    shuffled = list(offsets)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    done = set()
    for offset in shuffled[: int(len(shuffled) * finished)]:
        books.finish(offset)
        done.add(offset)
        left = [o for o in offsets if o not in done]
        assert books.base == (left[0] if left else offsets[-1] + 1)
        assert all(o in done for o in offsets if o < books.base)
    assert books.dirty == (books.base > 100)


def test_misuse_is_refused() -> None:
    books = PartitionOffsets.starting_at(5)
    books.begin(5)
    with pytest.raises(ValueError):
        books.begin(5)
    with pytest.raises(ValueError):
        books.finish(6)
    books.finish(5)
    with pytest.raises(ValueError):
        books.finish(5)


def test_a_skip_moves_the_base_only_past_what_is_finished() -> None:
    books = PartitionOffsets.starting_at(0)
    books.begin(0, 7)
    books.skip_to(10)
    assert (books.base, books.next, books.oldest_ms) == (0, 10, 7)
    books.finish(0)
    assert books.base == 10
