"""Images of a manifest in a local folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath

from vigia_training.domain.errors import BadData


def folder_reader(folder: Path) -> Callable[[str], bytes]:
    """Reads ``s3://bucket/a/b/c.jpg`` (or a path) from ``folder``: the file whose path is the longest end of it."""
    root = folder.resolve()

    def read(uri: str) -> bytes:
        parts = [part for part in PurePosixPath(uri.replace("s3://", "")).parts if part not in ("/", "..")]
        for start in range(len(parts)):
            path = root.joinpath(*parts[start:])
            if path.is_file():
                return path.read_bytes()
        raise BadData(f"{uri}: it is not in {folder}")

    return read
