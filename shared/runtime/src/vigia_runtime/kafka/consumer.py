"""Consuming: a record is finished when its effect is durable, and offsets are committed last.

One :class:`ConsumerLoop` reads one topic in one group and hands every record to ``handle``, at most ``max_in_flight``
at a time, records of one partition included: with more than one in flight, order is not kept (use 1 where order
matters). Offsets committed are contiguous finished ones, so nothing is lost; after a crash some come again.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from vigia_contracts.events import ContractError, Event, decode
from vigia_contracts.topics import Topic
from vigia_runtime import metrics
from vigia_runtime.errors import BadMessage, Transient
from vigia_runtime.health import Health
from vigia_runtime.kafka.assignment import Assignment
from vigia_runtime.kafka.client import MAX_RECORD_BYTES, close, connection, prefixed
from vigia_runtime.kafka.dead import Failure, bury
from vigia_runtime.kafka.offsets import PartitionOffsets
from vigia_runtime.kafka.producer import Producer
from vigia_runtime.logging import get_logger
from vigia_runtime.retry import Budget
from vigia_runtime.settings import KafkaSettings

log = get_logger(__name__)

#: How often offsets are committed, at most.
COMMIT_SECONDS = 1.0
#: How long a poll waits for records, and so how soon a stop is seen.
POLL_SECONDS = 0.2
#: A commit at the end, or before partitions are given away, may take this long; after that the records come again.
LAST_COMMIT_SECONDS = 5.0
#: Records begun and not committable, per partition, before it is paused: bounds what a crash would repeat.
MAX_UNCOMMITTED = 4096
#: A stop waits this long for handlers in flight. Below the lifecycle's budget, so that the commit still fits in.
DRAIN_SECONDS = 14.0
SESSION_TIMEOUT_MS = 10_000
HEARTBEAT_INTERVAL_MS = 3_000
#: Above the longest the loop may go without polling (it polls at least once a second, paused or not).
MAX_POLL_INTERVAL_MS = 300_000


@dataclass(frozen=True, slots=True)
class Delivery:
    """One record handed to a handler. ``timestamp_ms`` is the broker's or producer's; ``raw`` is aiokafka's record."""

    event: Event
    partition: int
    offset: int
    timestamp_ms: int
    raw: ConsumerRecord


Handler = Callable[[Delivery], Awaitable[None]]
BadHandler = Callable[[ConsumerRecord, ContractError], Awaitable[None] | None]
GapHandler = Callable[[int, int, int], Awaitable[None] | None]


class ConsumerLoop:
    """Reads ``topic`` as a member of ``group`` until told to stop.

    ``handle`` raises BadMessage (dead topic, then finished), Transient (tried again with back-off for
    ``retry_seconds``, then the loop raises it and nothing further is committed) or anything else (a bug: the loop
    raises it). ``on_bad(record, error)`` sees a record that breaks the contract before it goes to the dead topic.
    ``on_gap(partition, first_missing, next)`` is told of records that left the topic before they were read:
    ``first_missing <= offset < next``. ``start`` says where a group without committed offsets begins.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        topic: Topic,
        *,
        group: str,
        handle: Handler,
        producer: Producer,
        health: Health,
        max_in_flight: int = 32,
        retry_seconds: float = 60,
        on_bad: BadHandler | None = None,
        on_gap: GapHandler | None = None,
        start: Literal["earliest", "latest"] = "earliest",
    ) -> None:
        self._settings = settings
        self._topic = topic
        self._group = group
        self._handle = handle
        self._producer = producer
        self._service = health.service
        self._health = health
        self._max_in_flight = max_in_flight
        self._retry_seconds = retry_seconds
        self._on_bad = on_bad
        self._on_gap = on_gap
        self._start = start
        self._labels = (topic.name, group)
        self._tasks: dict[asyncio.Task[None], TopicPartition] = {}
        self._settled = asyncio.Event()
        self._assignment: Assignment | None = None
        self._failure: BaseException | None = None

    @property
    def in_flight(self) -> int:
        """Records being handled now."""
        return len(self._tasks)

    @property
    def assigned(self) -> frozenset[int] | None:
        """The partitions this member has; None before the first assignment."""
        return None if self._assignment is None else self._assignment.partitions

    async def run(self, stopping: asyncio.Event) -> None:
        """Consume until ``stopping`` is set, then finish what is in flight, commit and leave the group.

        Raises what ended it: Transient when a fault outside outlasted the budget, a handler's bug, a broken broker.
        """
        beat = self._health.heartbeat(f"consumer {self._topic.name}", 60 + self._retry_seconds)
        consumer = await self._connect(stopping, beat.tick)
        if consumer is None:
            return
        assignment = Assignment(
            consumer, start=self._start, commit_seconds=LAST_COMMIT_SECONDS, gap=self._gap, revoked=self._cancel
        )
        self._assignment = assignment
        consumer.subscribe([prefixed(self._settings, self._topic.name)], listener=assignment)
        committer = asyncio.create_task(self._commit_regularly(assignment), name=f"commit {self._topic.name}")
        committer.add_done_callback(self._ended)
        try:
            await self._poll(consumer, assignment, stopping, beat.tick)
            await self._drain(beat.tick)
        finally:
            committer.cancel()
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(set(self._tasks), timeout=2)
            # Contiguous finished offsets only: what failed stays uncommitted and comes again.
            await assignment.commit_within(LAST_COMMIT_SECONDS)
            await close(consumer)
            self._health.forget(beat.name)
        self._raise_failure(assignment)

    async def _connect(self, stopping: asyncio.Event, tick: Callable[[], None]) -> AIOKafkaConsumer | None:
        budget = Budget(self._retry_seconds)
        name = prefixed(self._settings, self._topic.name)
        while not stopping.is_set():
            tick()
            consumer = AIOKafkaConsumer(
                **connection(self._settings, self._service),
                group_id=prefixed(self._settings, self._group),
                enable_auto_commit=False,
                auto_offset_reset="none",
                session_timeout_ms=SESSION_TIMEOUT_MS,
                heartbeat_interval_ms=HEARTBEAT_INTERVAL_MS,
                rebalance_timeout_ms=30_000,
                max_poll_interval_ms=MAX_POLL_INTERVAL_MS,
                max_partition_fetch_bytes=MAX_RECORD_BYTES,
            )
            try:
                await consumer.start()
                if name in await consumer.topics():
                    return consumer
                problem = f"there is no topic {name}"
            except (KafkaError, OSError, TimeoutError) as error:
                problem = f"no Kafka broker answers: {type(error).__name__}"
            await close(consumer)
            if not await budget.pause(stopping):
                raise Transient(problem)
        return None

    async def _poll(
        self,
        consumer: AIOKafkaConsumer,
        assignment: Assignment,
        stopping: asyncio.Event,
        tick: Callable[[], None],
    ) -> None:
        poll: asyncio.Task[dict[TopicPartition, list[ConsumerRecord]]] | None = None
        try:
            while not stopping.is_set() and self._failure is None and assignment.failure is None:
                tick()
                self._measure(consumer, assignment)
                free = self._max_in_flight - len(self._tasks)
                if free <= 0:
                    # The group is kept by polling with everything paused, however long handlers take.
                    if not await self._settle(1.0):
                        assignment.pause_all()
                        await consumer.getmany(timeout_ms=0)
                    continue
                assignment.resume(MAX_UNCOMMITTED)
                if poll is None:
                    poll = asyncio.create_task(
                        consumer.getmany(timeout_ms=int(POLL_SECONDS * 1000), max_records=free), name="poll"
                    )
                # A poll may take long (a rebalance, an outage): never cancelled, only waited for in steps.
                await asyncio.wait({poll}, timeout=1.0)
                if poll.done():
                    done, poll = poll, None
                    await self._received(done, assignment)
        finally:
            if poll is not None:
                # Records that a cancelled poll had taken are not begun, so never committed: they come again.
                poll.cancel()
                await asyncio.wait({poll})

    async def _received(
        self, poll: asyncio.Task[dict[TopicPartition, list[ConsumerRecord]]], assignment: Assignment
    ) -> None:
        try:
            batches = poll.result()
        except OffsetOutOfRangeError as error:
            await assignment.out_of_range(dict(error.args[0]))
            return
        except NoOffsetForPartitionError:
            return  # before the assignment had chosen a position; it seeks
        except KafkaError as error:
            if not error.retriable:
                raise
            log.warning("poll failed", topic=self._topic.name, error=type(error).__name__)
            await asyncio.sleep(POLL_SECONDS)
            return
        for partition, records in batches.items():
            for record in records:
                books = assignment.begin(partition, record)
                if books is not None:
                    task = asyncio.create_task(self._process(books, record))
                    self._tasks[task] = partition
                    task.add_done_callback(self._ended)

    async def _settle(self, seconds: float) -> bool:
        """Wait until a handler ends; False when none did in time."""
        self._settled.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._settled.wait()
        except TimeoutError:
            return False
        return True

    async def _drain(self, tick: Callable[[], None]) -> None:
        deadline = time.monotonic() + DRAIN_SECONDS
        while self._tasks and self._failure is None and (left := deadline - time.monotonic()) > 0:
            tick()
            await asyncio.wait(set(self._tasks), timeout=min(1.0, left), return_when=asyncio.FIRST_COMPLETED)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        self._settled.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = self._failure or error

    def _cancel(self, partition: TopicPartition) -> None:
        """Another member has the partition now, or will: what we have in flight of it is not ours to finish."""
        for task, owner in list(self._tasks.items()):
            if owner == partition:
                task.cancel()

    async def _process(self, books: PartitionOffsets, record: ConsumerRecord) -> None:
        end = await self._finish(record)
        books.finish(record.offset)
        metrics.CONSUMED.labels(*self._labels, end).inc()

    async def _finish(self, record: ConsumerRecord) -> str:
        """Bring the record to its end, ``done`` or ``dead``."""
        seen = datetime.now(UTC)
        budget = Budget(self._retry_seconds)
        attempts = 0
        failure: Failure | None = None
        told = False
        while True:
            try:
                if failure is None:
                    attempts += 1
                    await self._attempt(record)
                    return "done"
                await bury(self._producer, record, self._topic, failure, group=self._group, service=self._service)
                return "dead"
            except BadMessage as error:
                failure = Failure(error.code, error.detail, seen, attempts)
            except ContractError as error:
                failure = Failure(error.code, str(error), seen, attempts)
                if self._on_bad is not None and not told:
                    await self._tell_bad(record, error, budget)
                    told = True
            except Transient as error:
                await self._again(record, error, budget)

    async def _attempt(self, record: ConsumerRecord) -> None:
        event = decode(
            self._topic,
            key=record.key,
            value=record.value,
            headers=record.headers,
            timestamp_ms=record.timestamp,
        )
        await self._handle(Delivery(event, record.partition, record.offset, record.timestamp, record))

    async def _tell_bad(self, record: ConsumerRecord, problem: ContractError, budget: Budget) -> None:
        assert self._on_bad is not None
        while True:
            try:
                await _maybe(self._on_bad(record, problem))
            except Transient as error:
                await self._again(record, error, budget)
            else:
                return

    async def _again(self, record: ConsumerRecord, error: Transient, budget: Budget) -> None:
        log.warning(
            "trying again",
            topic=self._topic.name,
            partition=record.partition,
            offset=record.offset,
            attempt=budget.attempts + 1,
            detail=error.detail,
        )
        metrics.CONSUMER_RETRIES.labels(*self._labels).inc()
        if not await budget.pause():
            raise error

    async def _gap(self, partition: int, first_missing: int, next_offset: int) -> None:
        metrics.GAPS.labels(*self._labels).inc(next_offset - first_missing)
        log.error(
            "records left the topic unread",
            topic=self._topic.name,
            partition=partition,
            first_missing=first_missing,
            next=next_offset,
        )
        if self._on_gap is None:
            return None
        budget = Budget(self._retry_seconds)
        while True:
            try:
                return await _maybe(self._on_gap(partition, first_missing, next_offset))
            except Transient:
                if not await budget.pause():
                    raise

    async def _commit_regularly(self, assignment: Assignment) -> None:
        while True:
            await asyncio.sleep(COMMIT_SECONDS)
            await assignment.commit_within(LAST_COMMIT_SECONDS)

    def _measure(self, consumer: AIOKafkaConsumer, assignment: Assignment) -> None:
        metrics.IN_FLIGHT.labels(*self._labels).set(len(self._tasks))
        lag, oldest = assignment.lag(consumer.highwater)
        metrics.CONSUMER_LAG.labels(*self._labels).set(lag)
        age = 0.0 if oldest is None else max(0.0, time.time() - oldest / 1000)
        metrics.CONSUMER_LAG_SECONDS.labels(*self._labels).set(age)

    def _raise_failure(self, assignment: Assignment) -> None:
        failure = self._failure or assignment.failure
        if failure is not None:
            raise failure


async def _maybe(result: Awaitable[None] | None) -> None:
    if inspect.isawaitable(result):
        await result
