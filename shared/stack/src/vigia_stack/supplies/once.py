"""Make a folder of the cache exactly once, also when several processes ask at the same time."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from vigia_stack import paths
from vigia_stack.errors import StackError


def made_once(name: str, make: Callable[[Path], None], say: Callable[[str], None] | None = None) -> Path:
    """Folder `name` of the cache; if absent, `make(folder)` fills a temporary one that is then renamed into place.

    `name` must change whenever the content would (put versions in it). Raises what `make` raises.
    """
    folder = paths.cache() / name
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            return folder
        if say is not None:
            say(f"making {name}")
        temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        try:
            make(temporary)
            temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder


def call(argv: Sequence[str], what: str, *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """Run a program to its end and return its output. Raises StackError with the last lines when it fails."""
    try:
        done = subprocess.run(
            list(argv), env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise StackError(f"{what}: {argv[0]} is not installed; run `make setup`") from error
    if done.returncode != 0:
        last = "\n".join(done.stdout.splitlines()[-20:])
        raise StackError(f"{what} failed ({argv[0]} ended with {done.returncode}):\n{last}")
    return done.stdout
