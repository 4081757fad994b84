"""uv, the installer; `scripts/setup` puts it into the cache."""

from __future__ import annotations

import shutil

from vigia_stack import paths
from vigia_stack.errors import StackError


def uv() -> str:
    """Path of uv. Raises StackError when it is neither in the cache nor on PATH."""
    cached = paths.cache() / "tools" / "uv"
    found = str(cached) if cached.exists() else shutil.which("uv")
    if found is None:
        raise StackError("uv is not installed; run `make setup`")
    return found
