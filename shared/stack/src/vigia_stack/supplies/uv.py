"""uv, the installer, from PyPI into the cache."""

from __future__ import annotations

import shutil
import sys
import venv
from pathlib import Path

from vigia_stack.supplies.once import call, made_once

VERSION = "0.13.9"


def uv() -> str:
    """Path of uv: the one on PATH, or one installed into the cache. Raises StackError when it cannot be installed."""
    return shutil.which("uv") or str(made_once(f"uv-{VERSION}", _fetch) / "bin" / "uv")


def _fetch(folder: Path) -> None:
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    call([str(python), "-m", "pip", "install", "-q", f"uv=={VERSION}"], f"installing uv (with {sys.executable})")
