"""Remembers what was read, to tell later which images have the same content."""

from __future__ import annotations

import hashlib

from vigia_training.app.images import Read


class Digesting:
    """Reads as ``read`` does, from several threads too. ``digests``: SHA-256 by address of all that was read."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self.digests: dict[str, str] = {}

    def __call__(self, uri: str) -> bytes:
        data = self._read(uri)
        if uri not in self.digests:
            self.digests[uri] = hashlib.sha256(data).hexdigest()
        return data
