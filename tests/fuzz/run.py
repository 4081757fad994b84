"""Sends many requests of one protocol and says what is wrong with any answer."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from botocore.credentials import Credentials
from botocore.model import ListShape, MapShape, Shape, StructureShape
from prometheus_client import REGISTRY

from tests.fuzz.door import Answer, Door, Request, door, surroundings
from vigia_registry.settings import Settings
from vigia_stack.parts.objects import ObjectStoreAddress

#: With these, no caller is proven, or no operation named: there may be nobody and nothing to write down.
_UNPROVEN: Final = {
    "IncompleteSignature",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "RequestExpired",
    "RequestEntityTooLargeException",
    "UnknownOperationException",
    "UnrecognizedClientException",
}
#: After so many requests the waiting jobs are done.
_WORK_EVERY: Final = 50
_TELL_EVERY: Final = 5000
_MOST_PROBLEMS: Final = 20


@dataclass
class Report:
    """What was sent and what came back, by operation and outcome; ``problems`` is empty when all was right."""

    sent: Counter[tuple[str, str]] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    @property
    def requests(self) -> int:
        return self.sent.total()


class Source(Protocol):
    """Makes requests without end; the same seed gives the same ones as long as the answers are the same."""

    def next(self) -> tuple[str, Request]:
        """The operation that the request began as, and the request."""

    def remember(self, answer: Answer) -> None:
        """Keep what later requests may name."""


@dataclass(frozen=True)
class Subject:
    """A protocol under random requests. ``objects``: what lies in ``bucket`` for them, by key.

    ``source``: of a seed and the key of a user who may do little. ``wrong``: what is wrong with the answer to a request
    that began as an operation, and whether it left something behind. ``shown``: a request, to read.
    """

    bucket: str
    objects: Mapping[str, bytes]
    source: Callable[[int, Credentials], Source]
    wrong: Callable[[str, Request, Answer, bool], list[str]]
    shown: Callable[[Request], str]


def fuzz(subject: Subject, postgres_server: str, store: ObjectStoreAddress, seed: int, number: int) -> Report:
    """A registry on a database of its own, asked ``number`` times."""
    client = store.client()
    client.create_bucket(Bucket=subject.bucket)
    for key, content in subject.objects.items():
        client.put_object(Bucket=subject.bucket, Key=key, Body=content)

    async def live(settings: Settings) -> Report:
        async with door(settings) as opened:
            return await _run(subject, opened, seed, number)

    with surroundings(postgres_server, store) as settings:
        return asyncio.run(live(settings))


async def _run(subject: Subject, door: Door, seed: int, number: int) -> Report:
    """Send ``number`` requests, one after the other."""
    source, report = subject.source(seed, await door.limited_key()), Report()
    before, lost = await door.everything(), _lost()
    for count in range(1, number + 1):
        operation, request = source.next()
        records = await door.records()
        answer = await door.send(request)
        after = await door.everything()
        changed, before = before != after, after
        outcome = "" if answer.raised else answer.headers.get("x-amzn-errortype", str(answer.status))
        report.sent[operation, outcome] += 1
        problems = subject.wrong(operation, request, answer, changed)
        problems += unrecorded(answer, await door.records() - records)
        if problems:
            report.problems.append(f"{', '.join(problems)}\n  {subject.shown(request)}\n  {_answer(answer)}")
        source.remember(answer)
        if count % _WORK_EVERY == 0 or count == number:
            report.problems += await door.work()
            before = await door.everything()
        if count % _TELL_EVERY == 0:
            print(f"{count} requests, {len(report.problems)} problems", file=sys.stderr, flush=True)
        if len(report.problems) >= _MOST_PROBLEMS:
            break
    if _lost() != lost:
        report.problems.append(f"{_lost() - lost:g} calls are in no audit record")
    return report


def _lost() -> float:
    """What the registry itself counts of calls that are in no record."""
    return REGISTRY.get_sample_value("vigia_calls_unrecorded_total", {"service": "registry"}) or 0.0


def unrecorded(answer: Answer, records: int) -> list[str]:
    """What is wrong with the ``records`` that a call has left in the audit: it leaves one."""
    if records == 1 or (records == 0 and answer.headers.get("x-amzn-errortype") in _UNPROVEN):
        return []
    return [f"{records} audit records"]


def unlike(shape: Shape, value: Any, where: str) -> list[str]:
    """Where ``value`` differs from ``shape``: unknown members, wrong types, values that no enumeration has."""
    if isinstance(shape, StructureShape):
        if not isinstance(value, dict):
            return [f"{where} is no structure"]
        found = [f"{where} has no {name}" for name in shape.required_members if name not in value]
        for name, member in value.items():
            known = shape.members.get(name)
            found += [f"{where}.{name} is unknown"] if known is None else unlike(known, member, f"{where}.{name}")
        return found
    if isinstance(shape, ListShape):
        if not isinstance(value, list):
            return [f"{where} is no list"]
        return [text for item in value for text in unlike(shape.member, item, f"{where}[]")]
    if isinstance(shape, MapShape):
        if not isinstance(value, dict):
            return [f"{where} is no map"]
        return [text for item in value.values() for text in unlike(shape.value, item, f"{where}{{}}")]
    kinds: dict[str, type | tuple[type, ...]] = {
        "string": str,
        "integer": int,
        "float": (int, float),
        "boolean": bool,
        "timestamp": (int, float),
    }
    if not isinstance(value, kinds[shape.type_name]):
        return [f"{where} is no {shape.type_name}"]
    if shape.type_name == "timestamp" and not 1.6e9 < float(value) < datetime(2100, 1, 1, tzinfo=UTC).timestamp():
        return [f"{where} is no time in seconds"]
    if shape.metadata.get("enum") and value not in shape.metadata["enum"]:
        return [f"{where} is {value}, which no client knows"]
    return []


def _answer(answer: Answer) -> str:
    return f"{answer.status} {answer.headers} {answer.body[:1000]!r}"
