"""No frame goes missing uncounted: captured == published + dropped + waiting, whatever happens in what order."""

from hypothesis import given
from hypothesis import strategies as st

from vigia_contracts.cameras import OverloadPolicy
from vigia_ingestion.domain.buffer import FrameBuffer

STEPS = st.lists(st.sampled_from(["offer", "take", "fail"]), max_size=200)


@given(STEPS, st.sampled_from(OverloadPolicy), st.integers(1, 5))
def test_every_frame_is_accounted_for(steps: list[str], policy: OverloadPolicy, capacity: int) -> None:
    buffer: FrameBuffer[int] = FrameBuffer(policy, capacity)
    offered = refused = 0
    published: list[int] = []
    for step in steps:
        if step == "offer":
            offered += 1
            refused += not buffer.offer(offered)
        elif len(buffer):
            item = buffer.take()
            if step == "take":
                published.append(item)
            else:
                buffer.give_back(item)
        assert buffer.counts.captured == len(published) + buffer.counts.dropped + len(buffer)
        assert buffer.counts.captured + refused == offered
        assert len(buffer) <= capacity
    assert published == sorted(published)
    if policy is OverloadPolicy.EVERY:
        assert buffer.counts.dropped == 0
    else:
        assert refused == 0


@given(st.integers(1, 100), st.integers(1, 5))
def test_newest_keeps_the_newest(frames: int, capacity: int) -> None:
    buffer: FrameBuffer[int] = FrameBuffer(OverloadPolicy.NEWEST, capacity)
    for number in range(frames):
        buffer.offer(number)
    kept = [buffer.take() for _ in range(len(buffer))]
    assert kept == list(range(frames))[-capacity:]


def test_a_frame_that_failed_goes_first_unless_a_newer_one_waits() -> None:
    newest: FrameBuffer[int] = FrameBuffer(OverloadPolicy.NEWEST)
    newest.offer(1)
    assert newest.give_back(newest.take())
    taken = newest.take()
    newest.offer(2)
    assert not newest.give_back(taken)
    assert (newest.take(), newest.counts.dropped) == (2, 1)
    every: FrameBuffer[int] = FrameBuffer(OverloadPolicy.EVERY)
    every.offer(1)
    taken = every.take()
    every.offer(2)
    assert every.give_back(taken)
    assert every.take() == 1
