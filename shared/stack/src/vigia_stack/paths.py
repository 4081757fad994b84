"""Where things live: the shared cache of third-party programs and the state of one stack."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path


def cache() -> Path:
    """Folder of downloaded and built third-party programs, shared by every clone: `VIGIA_CACHE` or `~/.cache/vigia`."""
    folder = Path(os.environ.get("VIGIA_CACHE") or Path.home() / ".cache" / "vigia")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def default_state() -> Path:
    """State folder of the stack of this clone: `VIGIA_STATE` or `.vigia` at the repository root."""
    return Path(os.environ.get("VIGIA_STATE") or repository() / ".vigia").absolute()


def repository() -> Path:
    """Root of the clone this package is installed from (it is always installed editable)."""
    for folder in Path(__file__).resolve().parents:
        if (folder / "deploy").is_dir() and (folder / "shared").is_dir():
            return folder
    raise RuntimeError(f"{__file__} is not inside a clone of the repository; install vigia-stack with `pip install -e`")


def script(name: str) -> str:
    """Path of a console script in the environment that runs this code."""
    return str(Path(sysconfig.get_path("scripts")) / name)
