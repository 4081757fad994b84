"""`vigia train`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from vigia_client.errors import ActionableError

_PROGRAM = "vigia-training"

_File = typer.Argument(
    exists=True, dir_okay=False, help="Its lines say which images there are and how they are labelled."
)


def train(
    manifest: Annotated[Path, _File],
    out: Annotated[Path, typer.Option(help="Folder for the artifact and the evaluation.", file_okay=False)],
    images: Annotated[
        Path | None, typer.Option(help="Folder with the images; the manifest's.", exists=True, file_okay=False)
    ] = None,
    test_manifest: Annotated[
        Path | None, typer.Option(help="Images to test with; else some of the others.", exists=True, dir_okay=False)
    ] = None,
    project: Annotated[str, typer.Option(help="Its name in the evaluation files.")] = "local",
    seed: Annotated[int, typer.Option(min=0)] = 0,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Say what it would take in time and memory, and train nothing.")
    ] = False,
) -> None:
    """Train on this machine's own files; nothing else has to run."""
    command = [_program(), "train", str(manifest), "--out", str(out), "--project", project, "--seed", str(seed)]
    if images is not None:
        command += ["--images", str(images)]
    if test_manifest is not None:
        command += ["--test-manifest", str(test_manifest)]
    if estimate:
        command.append("--estimate")
    raise typer.Exit(subprocess.run(command, check=False).returncode)


def _program() -> str:
    """Training is a service of its own, with libraries that this command does without."""
    beside = Path(sys.executable).with_name(_PROGRAM)
    found = str(beside) if beside.is_file() else shutil.which(_PROGRAM)
    if found is None:
        raise ActionableError(f"{_PROGRAM} is not installed here; install vigia-training beside this command")
    return found
