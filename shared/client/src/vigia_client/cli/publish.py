"""`vigia publish`."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Annotated

import typer

from vigia_client import frames
from vigia_client.api import Vigia
from vigia_client.cli.output import console
from vigia_client.environment import find


def publish(
    place: Annotated[Path, typer.Argument(metavar="FILE|FOLDER", exists=True, help="A JPEG or PNG, or a folder.")],
    camera: Annotated[str, typer.Option(help="The camera that the images are said to come from.")],
    http: Annotated[bool, typer.Option("--http", help="Through the HTTP door instead of straight to Kafka.")] = False,
    rate: Annotated[float | None, typer.Option(min=0.001, help="Images a second; as fast as they go.")] = None,
) -> None:
    """Send images for inspection."""
    files = frames.images(place)
    if not files:
        raise typer.BadParameter(f"{place} has no JPEG or PNG")
    environment = find()
    if http:
        count = _push(files, camera, rate)
    else:
        count = asyncio.run(
            frames.publish(
                environment.need("VIGIA_KAFKA"),
                camera,
                files,
                topic_prefix=environment.get("VIGIA_KAFKA_TOPIC_PREFIX") or "",
                per_second=rate,
                sent=_say,
            )
        )
    console.print(f"{count} published; see them with: vigia inspections --camera {camera}")


def _push(files: list[Path], camera: str, rate: float | None) -> int:
    began = time.monotonic()
    with Vigia.of() as vigia:
        for number, file in enumerate(files):
            if rate:
                time.sleep(max(0.0, began + number / rate - time.monotonic()))
            vigia.push(camera, file.read_bytes())
            _say(file)
    return len(files)


def _say(file: Path) -> None:
    console.print(f"sent {file.name}", highlight=False)
