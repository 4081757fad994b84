"""The bytes of a manifest: in memory, or in a file of this machine where they may be too many for that."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

Text = bytes | Path


def opened(text: Text) -> io.BytesIO | io.BufferedReader:
    """To be read from its beginning, and to be closed."""
    return io.BytesIO(text) if isinstance(text, bytes) else text.open("rb")


def whole(text: Text) -> bytes:
    """All of it."""
    return text if isinstance(text, bytes) else text.read_bytes()


def size_of(text: Text) -> int:
    """Bytes."""
    return len(text) if isinstance(text, bytes) else text.stat().st_size


def sha256_of(text: Text) -> str:
    """Its digest, in hexadecimal digits."""
    with opened(text) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
