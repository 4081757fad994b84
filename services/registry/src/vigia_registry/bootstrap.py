"""What every process of the registry is made of."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from vigia_registry.audit.waiting import Waiting
from vigia_registry.db import Database
from vigia_registry.settings import Settings
from vigia_runtime.objects import ObjectStore
from vigia_runtime.postgres import create_engine


@dataclass(frozen=True, slots=True)
class Deps:
    """The outside world of a process: its settings, its database, its object store, and what waits for Kafka."""

    settings: Settings
    database: Database
    objects: ObjectStore
    waiting: Waiting = field(default_factory=Waiting)


@asynccontextmanager
async def open_deps(settings: Settings) -> AsyncIterator[Deps]:
    """Everything in ``Deps``, closed when the block ends."""
    engine = create_engine(settings.postgres)
    try:
        yield Deps(settings=settings, database=Database(engine), objects=ObjectStore(settings.objects))
    finally:
        await engine.dispose()
