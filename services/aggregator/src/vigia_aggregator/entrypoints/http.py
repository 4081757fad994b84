"""``vigia-aggregator http``: history, trends, replays, audit, CloudWatch metrics, CloudTrail events. It only reads."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from vigia_aggregator.adapters.listener import Listener
from vigia_aggregator.adapters.tables import SCHEMA
from vigia_aggregator.entrypoints import audit, inspections, replay, trends
from vigia_aggregator.entrypoints.aws.router import router as aws_router
from vigia_aggregator.entrypoints.context import Context
from vigia_aggregator.settings import ServeSettings
from vigia_runtime.http import create_app, serve
from vigia_runtime.lifecycle import Lifecycle
from vigia_runtime.objects import ObjectStore
from vigia_runtime.postgres import create_engine
from vigia_runtime.settings import HttpSettings
from vigia_runtime.signin import Authenticator, RegistryCredentials


def make_app(context: Context) -> FastAPI:
    """The API over ``context``."""
    app = create_app("Vigia history", "1")
    app.state.context = context
    app.include_router(inspections.router)
    app.include_router(trends.router)
    app.include_router(replay.router)
    app.include_router(audit.router)
    app.include_router(aws_router)
    return app


async def serve_history(lifecycle: Lifecycle, settings: ServeSettings) -> None:
    """Serve until ``lifecycle.stopping``."""
    async with AsyncExitStack() as stack:
        engine = create_engine(settings.postgres)
        # Before anything is awaited: a process without probes would count as ready.
        lifecycle.health.probe("postgres", lambda: _select(engine))
        lifecycle.health.probe("door", lambda: _open(settings.http), every_seconds=1)
        stack.push_async_callback(engine.dispose)
        listener = Listener(settings.postgres)
        lifecycle.spawn("listener", listener.run(lifecycle.stopping))
        credentials = RegistryCredentials(settings.registry)
        stack.push_async_callback(credentials.close)
        context = Context(
            engine=engine,
            objects=ObjectStore(settings.objects),
            authenticator=Authenticator(credentials),
            listener=listener,
            query=settings.query,
            followers=asyncio.Semaphore(settings.query.followers),
        )
        await serve(make_app(context), settings.http, lifecycle)


async def _select(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.execute(text(f"select 1 from {SCHEMA}.inspections limit 1"))  # noqa: S608 - a constant


async def _open(http: HttpSettings) -> None:
    """Postgres may answer before the door does: nobody is sent here until both do."""
    _, writer = await asyncio.open_connection(http.host, http.port)
    writer.close()
    await writer.wait_closed()
