"""``vigia-registry``: one subcommand per process."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from vigia_registry.settings import Settings
from vigia_runtime import lifecycle
from vigia_runtime.settings import SettingsError, load

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Vigia's registry: what exists and what should run.")

Process = Callable[[lifecycle.Lifecycle, Settings], Awaitable[None]]


def _settings() -> Settings:
    try:
        return load(Settings)
    except SettingsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error


def _run(process: Process) -> None:
    settings = _settings()
    sys.exit(lifecycle.run(lambda life: process(life, settings), service="registry", settings=settings))


@app.command()
def http() -> None:
    """Answer the AWS protocols, the REST API and the other services."""
    from vigia_registry.entrypoints.http import main as process

    _run(process)


@app.command()
def worker() -> None:
    """Run jobs, announce changes on Kafka, follow trainings."""
    from vigia_registry.entrypoints.worker import main as process

    _run(process)


@app.command()
def hosting() -> None:
    """Make Triton serve what should be served."""
    from vigia_registry.entrypoints.hosting import main as process

    _run(process)


@app.command()
def migrate() -> None:
    """Bring the database to this version and create the first account; safe to repeat."""
    from vigia_registry.migrate import migrate as bring_up

    bring_up(_settings())


@app.command()
def prepare(replication: Annotated[int, typer.Option(min=1, help="copies of each topic's partitions")] = 1) -> None:
    """Make the topics and the buckets that are missing; safe to repeat."""
    from vigia_registry.prepare import prepare as make

    make(_settings(), replication)


def main() -> None:
    """Entry point of the console script."""
    app()
