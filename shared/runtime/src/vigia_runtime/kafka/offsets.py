"""Which offsets of a partition are finished. Pure: no Kafka in here."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class PartitionOffsets:
    """What was handed out and what is finished, of one partition.

    ``base`` is the offset below which everything is finished: the one to commit. ``next`` is the one to read next.
    Offsets need not be dense (compaction, transaction markers): only those begun count.
    """

    start: int
    base: int
    next: int
    committed: int
    _open: dict[int, int] = field(default_factory=dict)  # offset -> timestamp in ms; insertion order is offset order
    _done: set[int] = field(default_factory=set)

    @classmethod
    def starting_at(cls, offset: int) -> PartitionOffsets:
        """Nothing begun yet; ``offset`` is the first to come."""
        return cls(start=offset, base=offset, next=offset, committed=offset)

    def begin(self, offset: int, timestamp_ms: int = 0) -> None:
        """``offset`` is handed to a handler. Offsets begin in rising order."""
        if offset < self.next:
            raise ValueError(f"offset {offset} was begun before, next is {self.next}")
        self._open[offset] = timestamp_ms
        self.next = offset + 1

    def finish(self, offset: int) -> None:
        """The effect of ``offset`` is durable."""
        if offset not in self._open:
            raise ValueError(f"offset {offset} is not begun")
        self._done.add(offset)
        for first in list(self._open):
            if first not in self._done:
                break
            self._done.discard(first)
            del self._open[first]
        self.base = next(iter(self._open), self.next)

    def skip_to(self, offset: int) -> None:
        """Records up to ``offset`` are gone from the topic and will never be begun."""
        self.next = max(self.next, offset)
        if not self._open:
            self.base = self.next

    @property
    def dirty(self) -> bool:
        """Whether there is something to commit."""
        return self.base > self.committed

    @property
    def uncommitted(self) -> int:
        """How many records were begun at or above ``base``: what a crash now would repeat."""
        return len(self._open)

    @property
    def oldest_ms(self) -> int | None:
        """The timestamp of the oldest record that holds ``base`` back."""
        return next(iter(self._open.values()), None)
