"""The frames of one camera that wait to be published, bounded, under the camera's overload policy."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

from vigia_contracts.cameras import OverloadPolicy

T = TypeVar("T")

#: A stale frame is worth nothing, so `newest` keeps hardly any; `every` keeps a few to ride out a slow moment.
CAPACITY = {OverloadPolicy.NEWEST: 2, OverloadPolicy.EVERY: 8}


@dataclass(slots=True)
class Counts:
    """captured == taken + dropped + pending, always."""

    captured: int = 0
    taken: int = 0
    dropped: int = 0


class FrameBuffer(Generic[T]):
    """A queue that either forgets its oldest item (`newest`) or refuses a new one (`every`). Not thread-safe."""

    def __init__(self, policy: OverloadPolicy, capacity: int | None = None) -> None:
        self.policy = policy
        self.capacity = capacity or CAPACITY[policy]
        self.counts = Counts()
        self._waiting: deque[T] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """Whether the next item is refused (`every`) or pushes one out (`newest`)."""
        return len(self._waiting) >= self.capacity

    def offer(self, item: T) -> bool:
        """Take in an item; False when the policy never drops and there is no room, and nothing has changed."""
        if self.full:
            if self.policy is OverloadPolicy.EVERY:
                return False
            self._waiting.popleft()
            self.counts.dropped += 1
        self._waiting.append(item)
        self.counts.captured += 1
        return True

    def take(self) -> T:
        """The oldest item; IndexError when empty."""
        item = self._waiting.popleft()
        self.counts.taken += 1
        return item

    def give_back(self, item: T) -> bool:
        """Return an item that could not be published; False when a newer one has made it worthless (dropped)."""
        self.counts.taken -= 1
        if self.policy is OverloadPolicy.NEWEST and self._waiting:
            self.counts.dropped += 1
            return False
        self._waiting.appendleft(item)
        return True
