"""The partitions a consumer has: where each stands, what is committed, what happens when they come and go."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError, KafkaTimeoutError

from vigia_runtime.errors import Transient
from vigia_runtime.kafka.offsets import PartitionOffsets
from vigia_runtime.logging import get_logger
from vigia_runtime.retry import Budget

log = get_logger(__name__)

#: How long the broker may be silent while positions are chosen.
ASSIGN_SECONDS = 60.0

Gap = Callable[[int, int, int], Awaitable[None]]


class Assignment(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """The state of the partitions assigned to a consumer.

    A rebalance takes every partition away and gives most of them back at once. What is in flight of a partition goes
    on meanwhile; if the partition comes back and nobody moved its offset, it continues where it was, otherwise
    ``revoked(partition)`` is called and the work is dropped without commit. ``failure`` is set where the listener
    failed, because aiokafka only logs what a listener raises.
    """

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        *,
        start: Literal["earliest", "latest"],
        commit_seconds: float,
        gap: Gap,
        revoked: Callable[[TopicPartition], None],
    ) -> None:
        self._consumer = consumer
        self._start = start
        self._commit_seconds = commit_seconds
        self._gap = gap
        self._drop = revoked
        self._partitions: dict[TopicPartition, PartitionOffsets] = {}
        self._kept: dict[TopicPartition, PartitionOffsets] = {}
        self._paused: set[TopicPartition] = set()
        self._commit_lock = asyncio.Lock()
        self._settled = False
        self.failure: BaseException | None = None

    @property
    def partitions(self) -> frozenset[int] | None:
        """The numbers of the partitions assigned now; None before the first assignment and during a rebalance."""
        return frozenset(p.partition for p in self._partitions) if self._settled else None

    # Called by aiokafka ----------------------------------------------------------------------------------------------

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Commit what is finished; keep the books in case the partitions come back."""
        await self.commit_within(self._commit_seconds)
        self._kept = self._partitions
        self._partitions = {}
        self._settled = False
        self._paused.clear()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Choose the position of every partition before the first record is read."""
        kept, self._kept = self._kept, {}
        budget = Budget(ASSIGN_SECONDS)
        try:
            for partition in kept.keys() - assigned:
                self._drop(partition)
            while True:
                try:
                    await self._place(assigned, kept)
                except KafkaError as error:
                    if not error.retriable and not isinstance(error, KafkaTimeoutError):
                        raise
                    if not await budget.pause():
                        raise Transient(f"positions cannot be read: {type(error).__name__}") from error
                else:
                    self._settled = True
                    break
        except Exception as error:  # noqa: BLE001  aiokafka swallows what a listener raises; the loop must not
            self.failure = error

    async def _place(self, assigned: set[TopicPartition], kept: dict[TopicPartition, PartitionOffsets]) -> None:
        if not assigned:
            return
        first = await self._consumer.beginning_offsets(list(assigned))
        end = await self._consumer.end_offsets(list(assigned))
        committed = {partition: await self._consumer.committed(partition) for partition in assigned}
        for partition in assigned:
            books = kept.get(partition)
            if books is not None and _continues(books, committed[partition], first[partition]):
                self._adopt(partition, books)
                continue
            if books is not None:
                self._drop(partition)
            position = await self._position(partition, committed[partition], first[partition], end[partition])
            self._adopt(partition, PartitionOffsets.starting_at(position))
        log.info("partitions assigned", partitions=sorted(p.partition for p in assigned))

    # Called by the loop ----------------------------------------------------------------------------------------------

    def begin(self, partition: TopicPartition, record: ConsumerRecord) -> PartitionOffsets | None:
        """Enter a record; the books to finish it in, or None where it is not ours to handle (any more, or twice)."""
        books = self._partitions.get(partition)
        if books is None or record.offset < books.next:
            return None
        books.begin(record.offset, record.timestamp)
        return books

    def pause_all(self) -> None:
        """Read no further, keep polling."""
        self._paused = set(self._partitions)
        if self._paused:
            self._consumer.pause(*self._paused)

    def resume(self, max_uncommitted: int) -> None:
        """Read on, except where too much is begun that cannot be committed."""
        if not self._paused and all(books.uncommitted < max_uncommitted for books in self._partitions.values()):
            return
        full = {p for p, books in self._partitions.items() if books.uncommitted >= max_uncommitted}
        if opened := (self._paused - full) & self._partitions.keys():
            self._consumer.resume(*opened)
        if full - self._paused:
            self._consumer.pause(*(full - self._paused))
        self._paused = full

    async def out_of_range(self, positions: dict[TopicPartition, int]) -> None:
        """The broker no longer has what was to be read next: say what is missing, go on where the log begins."""
        ours = [partition for partition in positions if partition in self._partitions]
        if not ours:
            return
        first = await self._consumer.beginning_offsets(ours)
        end = await self._consumer.end_offsets(ours)
        for partition in ours:
            books = self._partitions.get(partition)
            if books is None:
                continue
            position = await self._position(partition, books.next, first[partition], end[partition])
            if position > books.next:
                books.skip_to(position)
            elif position < books.next:
                self._drop(partition)
                books = PartitionOffsets.starting_at(position)
            self._adopt(partition, books)

    async def commit_within(self, seconds: float) -> None:
        """Commit the contiguous finished offsets. A failure costs repeats, never records, so it is only logged."""
        try:
            async with asyncio.timeout(seconds), self._commit_lock:
                dirty = {p: (books, books.base) for p, books in self._partitions.items() if books.dirty}
                if not dirty:
                    return
                await self._consumer.commit({p: base for p, (_, base) in dirty.items()})
                for books, base in dirty.values():
                    books.committed = base
        except (CommitFailedError, IllegalStateError) as error:
            log.info("not committed, partitions moved", error=type(error).__name__)
        except (KafkaError, OSError, TimeoutError) as error:
            log.warning("not committed", error=type(error).__name__)

    def lag(self, highwater: Callable[[TopicPartition], int | None]) -> tuple[int, int | None]:
        """Records between what is finished and the end, and the timestamp (ms) of the oldest one begun."""
        records = 0
        oldest: int | None = None
        for partition, books in self._partitions.items():
            end = highwater(partition)
            records += max(0, (end if end is not None else books.next) - books.base)
            stamp = books.oldest_ms
            if stamp is not None and (oldest is None or stamp < oldest):
                oldest = stamp
        return records, oldest

    # ---------------------------------------------------------------------------------------------------------------

    def _adopt(self, partition: TopicPartition, books: PartitionOffsets) -> None:
        self._partitions[partition] = books
        self._consumer.seek(partition, books.next)

    async def _position(self, partition: TopicPartition, wanted: int | None, first: int, end: int) -> int:
        """Where to read: never silently past what is there."""
        if wanted is None:
            return first if self._start == "earliest" else end
        if wanted < first:
            await self._gap(partition.partition, wanted, first)
            return first
        if wanted > end:
            # The topic was made anew or truncated: what is there now was never read by anybody.
            log.error(
                "offset beyond the end, reading from the start",
                topic=partition.topic,
                partition=partition.partition,
                offset=wanted,
                end=end,
            )
            return first
        return wanted


def _continues(books: PartitionOffsets, committed: int | None, first: int) -> bool:
    """Whether nobody moved the offset meanwhile and the log still has what comes next."""
    unmoved = committed == books.committed or (committed is None and books.committed == books.start)
    return unmoved and books.next >= first
