"""Faust, under our control: which records were read, and when they are done.

The rules that this module keeps (each was measured, see the tests):

- A batch comes by ``noack_take`` and is acknowledged whole, after its effect is durable. Batch k+1 is never
  acknowledged before batch k, since one coroutine handles one batch at a time.
- The agent's body never raises past an unacknowledged event: Faust would go on with the next one and the commit
  would pass over what was lost. A failure is handed to ``on_failure``, which ends the process without a commit.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import faust
from aiokafka.helpers import create_ssl_context

from vigia_aggregator.domain.records import Record
from vigia_contracts.topics import Topic
from vigia_runtime.kafka.topics import topic_name
from vigia_runtime.settings import KafkaSettings

NAME = "aggregator"
#: Small, so that a worker that died is replaced within seconds.
_SESSION_SECONDS = 10.0
_HEARTBEAT_SECONDS = 2.0
_COMMIT_SECONDS = 1.0
#: Commits go by time alone: counting them by messages would put a commit into the flow of each batch.
_COMMIT_EVERY = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Reader:
    """One topic and what is done with its batches. ``handle`` returns when their effect is durable."""

    topic: Topic
    handle: Callable[[Sequence[Record]], Awaitable[None]]
    batch_size: int
    within_seconds: float


class _App(faust.App):
    """No tables and no views, so nothing is written to disk: no data folder is made."""

    logger = logging.getLogger("faust.app")

    async def on_first_start(self) -> None:
        return


class Stream:
    """The Faust application. ``on_failure`` is called once, with the first error of an agent."""

    def __init__(
        self,
        settings: KafkaSettings,
        readers: Sequence[Reader],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self.group = f"{settings.topic_prefix}{NAME}"
        self._settings = settings
        self._on_failure = on_failure
        self._idle = asyncio.Event()
        self._idle.set()
        self._busy = 0
        self._stopping = False
        self._app = _App(
            self.group,
            broker=[f"aiokafka://{address.strip()}" for address in settings.bootstrap.split(",")],
            broker_credentials=_credentials(settings),
            store="memory://",
            web_enabled=False,
            topic_allow_declare=False,
            topic_disable_leader=True,
            cython_optimizations=True,
            broker_session_timeout=_SESSION_SECONDS,
            broker_heartbeat_interval=_HEARTBEAT_SECONDS,
            broker_commit_interval=_COMMIT_SECONDS,
            broker_commit_every=_COMMIT_EVERY,
            consumer_auto_offset_reset="earliest",
            # Neither a rebalance nor the end waits for records that were read and not begun: they come again.
            stream_wait_empty=False,
            stream_buffer_maxsize=max(reader.batch_size for reader in readers) * 2,
        )
        for reader in readers:
            self._add(reader)

    async def start(self) -> None:
        """Join the group and read. Returns when the agents run; assignments come a little later."""
        await self._app.start()

    async def stop(self, within_seconds: float) -> None:
        """Let the batches at hand end, commit what was acknowledged, leave the group."""
        self._stopping = True
        # Batches that do not end in time are not acknowledged: they come again.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), timeout=within_seconds)
        await self._app.stop()

    @property
    def failed(self) -> bool:
        """Whether Faust itself gave up."""
        return bool(self._app.crashed) or bool(self._app.should_stop)

    @property
    def joined(self) -> bool:
        """Whether the group has given this worker its partitions, be it none."""
        return bool(self._app.consumer_generation_id > 0) and not self._app.rebalancing

    def lag(self) -> dict[str, int]:
        """Records between what was committed and the end, by topic, of the partitions assigned here."""
        lags: dict[str, int] = {}
        consumer: Any = self._app.consumer
        for tp in consumer.assignment():
            # Neither is known before the first fetch, and nothing is committed before the first batch.
            behind = max(0, (consumer.highwater(tp) or 0) - (consumer._committed_offset[tp] or 0))
            lags[tp.topic] = lags.get(tp.topic, 0) + behind
        return lags

    def name_of(self, topic: Topic) -> str:
        """The topic's name on the cluster."""
        return topic_name(self._settings, topic)

    def _add(self, reader: Reader) -> None:
        topic = self._app.topic(
            self.name_of(reader.topic),
            key_type=bytes,
            value_type=bytes,
            key_serializer="raw",
            value_serializer="raw",
        )

        async def agent(stream: Any) -> None:
            async for events in stream.noack_take(reader.batch_size, within=reader.within_seconds):
                await self._one_batch(reader, events)

        self._app.agent(topic, name=f"{NAME}-{reader.topic.name}")(agent)

    async def _one_batch(self, reader: Reader, events: Sequence[Any]) -> None:
        if self._stopping:
            await _never()
        self._busy += 1
        self._idle.clear()
        try:
            await reader.handle([_record(event.message) for event in events])
        except Exception as error:  # noqa: BLE001 - the boundary to Faust: nothing may pass it, see above
            self._on_failure(error)
            await _never()
        finally:
            self._busy -= 1
            if not self._busy:
                self._idle.set()
        for event in events:
            event.ack()


async def _never() -> None:
    """Waits until cancelled: an agent that must neither go on nor return."""
    await asyncio.Event().wait()


def _record(message: Any) -> Record:
    return Record(
        partition=message.partition,
        offset=message.offset,
        key=message.key,
        value=message.value,
        headers=_headers(message.headers),
        timestamp_ms=int(message.timestamp * 1000),
    )


def _headers(headers: Any) -> Sequence[tuple[str, bytes | None]]:
    if not headers:
        return ()
    return list(headers.items()) if isinstance(headers, dict) else list(headers)


def _credentials(settings: KafkaSettings) -> Any:
    if settings.security == "PLAINTEXT":
        return None
    context = None
    if settings.security.endswith("SSL"):
        context = create_ssl_context(cafile=str(settings.ca_path) if settings.ca_path is not None else None)
    if settings.security == "SSL":
        return faust.SSLCredentials(context=context)
    return faust.SASLCredentials(
        username=settings.username,
        password=settings.password.get_secret_value() if settings.password is not None else None,
        ssl_context=context,
        mechanism=settings.sasl_mechanism,
    )
