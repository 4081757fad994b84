"""``vigia-aggregator worker | http | migrate``.

A process imports what it runs after its settings were read: a wrong setting is told at once, not after Faust is loaded.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import typer

from vigia_aggregator.settings import MigrateSettings, ServeSettings, WorkerSettings
from vigia_runtime.lifecycle import run
from vigia_runtime.logging import configure
from vigia_runtime.settings import S, SettingsError, load

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Inspections in; history, trends and metrics out.")


@app.command()
def worker() -> None:
    """Write inspections, faults, cameras, calls and usage from Kafka into Postgres."""
    settings = _load(WorkerSettings)
    from vigia_aggregator.entrypoints.worker import work

    run(lambda lifecycle: work(lifecycle, settings), service="aggregator worker", settings=settings)


@app.command()
def http() -> None:
    """Serve history, trends, audit and CloudWatch metrics."""
    settings = _load(ServeSettings)
    from vigia_aggregator.entrypoints.http import serve_history

    run(lambda lifecycle: serve_history(lifecycle, settings), service="aggregator http", settings=settings)


@app.command()
def migrate(
    revision: Annotated[str, typer.Argument(help="revision to migrate up to")] = "head",
) -> None:
    """Bring schema ``inspection`` up to date."""
    settings = _load(MigrateSettings)
    from vigia_aggregator.adapters.migrate import upgrade
    from vigia_runtime.postgres import create_engine

    configure("aggregator", settings.log)

    async def go() -> None:
        engine = create_engine(settings.postgres)
        try:
            await upgrade(engine, revision)
        finally:
            await engine.dispose()

    asyncio.run(go())


def _load(cls: type[S]) -> S:
    try:
        return load(cls)
    except SettingsError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None


def main() -> None:
    """The console script."""
    app()


if __name__ == "__main__":
    main()
