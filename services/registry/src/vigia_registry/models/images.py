"""Which objects training will read for the lines of a manifest, and whether the customer may have them read."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, Final, TypeVar

from vigia_registry.datasets.manifest import parse_line
from vigia_registry.identity.domain import Service
from vigia_registry.objects import Fence, S3Rights

_SOURCE: Final = re.compile(r"s3://([^/]+)/(.+)", re.DOTALL)


#: Lines, and characters or bytes of them, that are looked at together.
_BATCH: Final = 1000
_BATCH_SIZE: Final = 4_000_000

Line = TypeVar("Line", str, bytes)


async def check(service: Service, lines: AsyncIterator[str], rights: S3Rights) -> None:
    """AccessDenied at the first image or mask to train on that the caller may not read."""
    if rights.caller is None:
        return
    async for batch in batches(lines):
        # Every image with every statement of the caller's: others are answered meanwhile.
        await asyncio.to_thread(require, service, batch, rights)


async def batches(lines: AsyncIterator[Line]) -> AsyncIterator[list[Line]]:
    """The lines, many at a time, yet never more than can be held."""
    batch: list[Line] = []
    size = 0
    async for line in lines:
        batch.append(line)
        size += len(line)
        if len(batch) == _BATCH or size > _BATCH_SIZE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def require(service: Service, lines: Sequence[str] | Sequence[bytes], rights: S3Rights) -> None:
    """AccessDenied at the first image or mask of the lines that the caller may not read."""
    for line in lines:
        for place in _places(service, line):
            rights.require("GetObject", *place)


def outside(lines: Iterable[bytes], fence: Fence) -> bool:
    """Whether lines that nobody has imported name objects of Vigia's own that are not the account's."""
    return any(not fence.allows(*place) for line in lines for place in _sources(line))


def _places(service: Service, line: str | bytes) -> Iterable[tuple[str, str]]:
    if service is Service.LOOKOUT:
        return parse_line(line.encode() if isinstance(line, str) else line, 0).places
    return _sources(line)


def _sources(line: str | bytes) -> list[tuple[str, str]]:
    """Bucket and key of the line's image; none where it names none, which training tells the customer.

    Where a line names several, whichever a reader takes is among them.
    """
    named: list[tuple[str, str]] = []

    def collect(pairs: list[tuple[str, Any]]) -> None:
        for name, value in pairs:
            found = _SOURCE.fullmatch(value) if name == "source-ref" and isinstance(value, str) else None
            if found is not None:
                named.append((found[1], found[2]))

    text = line if isinstance(line, str) else line.decode("utf-8-sig", errors="replace")
    try:
        json.loads(text, object_pairs_hook=collect)
    except (ValueError, RecursionError):
        return []
    return named
