"""Images of a manifest in a local folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath

from vigia_training.domain.errors import BadData


def folder_reader(folder: Path) -> Callable[[str], bytes]:
    """Reads ``s3://bucket/a/b/c.jpg`` (or a path) from ``folder``: the file whose path is the longest end of it.

    A file's own absolute path is read wherever it lies: the manifest is the user's, on the user's machine.
    """
    root = folder.resolve()

    def read(uri: str) -> bytes:
        if Path(uri).is_absolute() and Path(uri).is_file():
            return Path(uri).read_bytes()
        parts = [part for part in PurePosixPath(uri.replace("s3://", "")).parts if part not in ("/", "..")]
        for start in range(len(parts)):
            path = root.joinpath(*parts[start:])
            if path.is_file():
                return path.read_bytes()
        raise BadData(f"{uri}: it is not in {folder}")

    return read
