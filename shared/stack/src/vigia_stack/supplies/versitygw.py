"""versitygw, an S3 gateway over a folder, built from the Go module proxy into the cache."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from vigia_stack import paths
from vigia_stack.errors import StackError
from vigia_stack.supplies.once import call, made_once

VERSION = "v1.8.0"


def versitygw() -> Path:
    """The program, built at the first call (a minute or more). Raises StackError when Go is missing or too old."""
    return made_once(f"versitygw-{VERSION}", _build) / "versitygw"


def _build(folder: Path) -> None:
    cached = paths.cache() / "tools" / "go"
    go = str(cached) if cached.exists() else shutil.which("go")
    if go is None:
        raise StackError("go is not installed (1.25 or newer is needed); run `make setup`")
    env = {**os.environ, "GOBIN": str(folder), "CGO_ENABLED": "0", "GOFLAGS": "-ldflags=-s -trimpath"}
    call([go, "install", f"github.com/versity/versitygw/cmd/versitygw@{VERSION}"], "building versitygw", env=env)
