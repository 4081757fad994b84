"""What happens to a batch: it is read, stored, and what never can be stored is buried. Then, not before, it is done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, Protocol, TypeVar

from vigia_aggregator.app.patience import Patience
from vigia_aggregator.domain.records import Read, Record, Refused, sort_out
from vigia_contracts.base import Payload
from vigia_contracts.topics import Topic

P = TypeVar("P", bound=Payload)
R = TypeVar("R")


class DeadLetters(Protocol):
    """Where records go that can never be stored."""

    async def bury(self, topic: Topic, refused: Refused) -> None:
        """Returns when the record is durable in the dead topic."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome(Generic[P, R]):
    """What became of a batch: the payloads that were stored, what storing them gave, and what was refused."""

    stored: list[P]
    results: list[R]
    refused: list[Refused]


class BatchHandler(Generic[P, R]):
    """The use case behind every agent.

    ``store`` makes a list of payloads durable, all or none. ``unstorable`` tells errors that lie in the data itself
    (the database refuses a value): the batch is then stored one by one, and what is still refused is buried.
    ``check`` may refuse a payload, given the present time.
    """

    def __init__(
        self,
        topic: Topic,
        payload: type[P],
        *,
        store: Callable[[Sequence[P]], Awaitable[R]],
        dead_letters: DeadLetters,
        patience: Patience,
        unstorable: Callable[[BaseException], bool],
        check: Callable[[P, datetime], None] | None = None,
    ) -> None:
        self._topic = topic
        self._payload = payload
        self._store = store
        self._dead_letters = dead_letters
        self._patience = patience
        self._unstorable = unstorable
        self._check = check

    async def handle(self, records: Sequence[Record]) -> Outcome[P, R]:
        """Returns when the effect of every record is durable; raises when that was not to be had."""
        now = datetime.now(UTC)
        check = self._check
        read = sort_out(self._topic, self._payload, records, None if check is None else lambda p: check(p, now))
        stored, results, refused = await self._store_all(read.good)
        refused = [*read.refused, *refused]
        for one in refused:
            await self._patience.run("dead letter", lambda one=one: self._dead_letters.bury(self._topic, one))  # type: ignore[misc]
        return Outcome(stored, results, refused)

    async def _store_all(self, good: list[Read[P]]) -> tuple[list[P], list[R], list[Refused]]:
        if not good:
            return [], [], []
        payloads = [read.payload for read in good]
        try:
            return payloads, [await self._attempt(payloads)], []
        except Exception as error:
            if not self._unstorable(error):
                raise
        stored: list[P] = []
        results: list[R] = []
        refused: list[Refused] = []
        for read in good:
            try:
                results.append(await self._attempt([read.payload]))
                stored.append(read.payload)
            except Exception as error:
                if not self._unstorable(error):
                    raise
                refused.append(Refused(read.record, "unstorable", type(error).__name__))
        return stored, results, refused

    async def _attempt(self, payloads: Sequence[P]) -> R:
        return await self._patience.run("store", lambda: self._store(payloads))
