"""What was read from a topic, sorted into what can be stored and what never can."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from vigia_contracts.audit import Call
from vigia_contracts.base import Payload
from vigia_contracts.events import ContractError, decode
from vigia_contracts.inspections import Inspection
from vigia_contracts.topics import Topic
from vigia_contracts.usage import UnitsMeasured

P = TypeVar("P", bound=Payload)


@dataclass(frozen=True, slots=True)
class Record:
    """One consumed record, as the broker gave it. ``timestamp_ms`` is the broker's, since the epoch."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that can never be stored. ``code`` is short and stable, ``detail`` says what is wrong."""

    record: Record
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Read(Generic[P]):
    """A record and the payload that it carried."""

    record: Record
    payload: P


@dataclass(frozen=True, slots=True)
class Sorted(Generic[P]):
    """A batch after reading: both lists keep the order of arrival."""

    good: list[Read[P]]
    refused: list[Refused]


@dataclass(frozen=True, slots=True)
class Window:
    """Which times are stored: a partition exists per day, so the number of days has a bound."""

    past: timedelta
    future: timedelta

    def check(self, inspection: Inspection, now: datetime) -> None:
        """ContractError when the capture time lies outside."""
        self._check("captured", inspection.captured_at, now)

    def check_call(self, call: Call, now: datetime) -> None:
        """ContractError when the time of the call lies outside."""
        self._check("called", call.called_at, now)

    def check_measurement(self, measured: UnitsMeasured, now: datetime) -> None:
        """ContractError when the minute lies outside."""
        self._check("measured", measured.minute, now)

    def _check(self, what: str, at: datetime, now: datetime) -> None:
        if at < now - self.past:
            raise ContractError(f"{what}_too_old", f"{what} at {at}, beyond retention")
        if at > now + self.future:
            raise ContractError(f"{what}_in_future", f"{what} at {at}")


def sort_out(
    topic: Topic, payload: type[P], records: Iterable[Record], check: Callable[[P], None] | None = None
) -> Sorted[P]:
    """Read ``records`` by the topic's contract; ``check`` may refuse a payload by raising ContractError."""
    good: list[Read[P]] = []
    refused: list[Refused] = []
    for record in records:
        try:
            event = decode(
                topic,
                key=record.key,
                value=record.value,
                headers=record.headers,
                timestamp_ms=record.timestamp_ms,
            )
            if not isinstance(event.data, payload):
                raise ContractError("unknown_type", f"{event.type} is not stored")
            if check is not None:
                check(event.data)
        except ContractError as error:
            refused.append(Refused(record, error.code, str(error)))
        else:
            good.append(Read(record, event.data))
    return Sorted(good, refused)
