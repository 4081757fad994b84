"""`vigia analyze`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vigia_client.cli.output import console
from vigia_client.environment import find
from vigia_client.lookout import rekognition

app = typer.Typer(help="Ask a running Custom Labels model about what is no single image.", no_args_is_help=True)


@app.callback()
def callback() -> None:
    """So that what is analysed stays a word of the command."""


@app.command("video")
def video(
    model_arn: Annotated[str, typer.Argument(metavar="MODEL_ARN", help="A running model.")],
    video_file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="mp4, mov and whatever FFmpeg reads.")
    ],
    min_confidence: Annotated[
        float | None, typer.Option(min=0, max=100, help="Instead of each label's own threshold.")
    ] = None,
    max_results: Annotated[int | None, typer.Option(min=0, help="The most labels of a frame.")] = None,
    output: Annotated[Path | None, typer.Option(dir_okay=False, help="Else FILE.json.")] = None,
) -> None:
    """Look at a frame about once a second and write every label with its Timestamp in milliseconds."""
    # The code that decodes takes long to load; no other command needs it.
    from vigia_client.video import analyze

    given: dict[str, Any] = {"MinConfidence": min_confidence, "MaxResults": max_results}
    options = {name: value for name, value in given.items() if value is not None}
    place = output or video_file.with_name(f"{video_file.name}.json")
    with console.status("opening") as status:
        count = analyze(
            rekognition(find()), model_arn, video_file, place, lambda n: status.update(f"frame {n}"), **options
        )
    console.print(f"{count} frames looked at: {place}", highlight=False, markup=False, soft_wrap=True)
