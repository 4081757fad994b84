"""The `vigia` command."""

from __future__ import annotations

import sys

import httpx
import typer
from aiokafka.errors import KafkaError
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.markup import escape

from vigia_client.api import ApiError
from vigia_client.cli import (
    analyze,
    apply,
    audit,
    cameras,
    convert,
    doctor,
    feedback,
    history,
    iam,
    lines,
    migrate,
    publish,
    thresholds,
    train,
    trials,
)
from vigia_client.errors import ActionableError
from vigia_client.frames import TooLargeError

app = typer.Typer(name="vigia", help="Visual inspection for the factory floor.", no_args_is_help=True)
app.add_typer(cameras.app, name="cameras")
app.add_typer(lines.app, name="lines")
app.add_typer(trials.app, name="trials")
app.add_typer(thresholds.app, name="thresholds")
app.add_typer(iam.app, name="iam")
app.command("apply")(apply.apply)
app.command("inspections")(history.inspections)
app.command("trends")(history.trends)
app.command("faults")(history.faults)
app.command("audit")(audit.audit)
app.command("publish")(publish.publish)
app.command("train")(train.train)
app.add_typer(migrate.app, name="migrate")
app.add_typer(convert.app, name="convert")
app.add_typer(analyze.app, name="analyze")
app.add_typer(feedback.app, name="feedback")
app.command("doctor")(doctor.doctor)


def main() -> None:
    """Entry point: errors that a person can act on are one line, not a traceback."""
    try:
        app()
    except ApiError as error:
        _fail(f"{error} [{error.status} {error.code}]")
    except (ActionableError, TooLargeError) as error:
        _fail(str(error))
    except ClientError as error:
        told = error.response["Error"]
        _fail(f"{told.get('Message') or error} [{told.get('Code')}]")
    except BotoCoreError as error:
        _fail(f"{error}. `vigia doctor` says more.")
    except httpx.HTTPError as error:
        _fail(f"Vigia cannot be reached: {error or type(error).__name__}. `vigia doctor` says more.")
    except KafkaError as error:
        _fail(f"Kafka: {type(error).__name__}: {error}. `vigia doctor` says more.")
    except OSError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


def _fail(text: str) -> None:
    Console(stderr=True).print(f"[red]error:[/red] {escape(text)}", highlight=False, soft_wrap=True)
    sys.exit(1)
