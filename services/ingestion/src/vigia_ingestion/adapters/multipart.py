"""multipart/x-mixed-replace as cameras speak it: bytes in, whole parts out."""

from __future__ import annotations

import re

_BOUNDARY = re.compile(r'boundary\s*=\s*(?:"([^"]+)"|([^;\s]+))', re.IGNORECASE)
_LENGTH = re.compile(rb"^content-length:\s*(\d+)\s*$", re.IGNORECASE | re.MULTILINE)
_HEADER_LIMIT = 16 * 1024


class MultipartError(ValueError):
    """What came is not multipart, or a part is larger than allowed."""


def boundary_of(content_type: str) -> bytes:
    """The delimiter named by a Content-Type header. Some cameras write its leading dashes into the header too."""
    found = _BOUNDARY.search(content_type)
    if not content_type.lower().startswith("multipart/") or not found:
        raise MultipartError(f"not a multipart stream: {content_type!r}")
    return b"--" + (found.group(1) or found.group(2)).removeprefix("--").encode()


class MultipartParser:
    """Feed it what the network gave, in any pieces; it returns the bodies of parts as they become complete.

    A part with a Content-Length is complete at its last byte; one without is complete when the next delimiter shows.
    Memory is bounded by ``most_bytes`` and one piece.
    """

    def __init__(self, delimiter: bytes, most_bytes: int) -> None:
        self._delimiter = delimiter
        self._most = most_bytes
        self._data = bytearray()
        self._body: int | None = None  # bytes still to come when a length was given; -1: until the next delimiter
        self.finished = False

    def feed(self, piece: bytes) -> list[bytes]:
        """The bodies completed by this piece, in order."""
        self._data += piece
        parts: list[bytes] = []
        while not self.finished and self._step(parts):
            pass
        return parts

    def _step(self, parts: list[bytes]) -> bool:
        if self._body is None:
            return self._read_head()
        if self._body >= 0:
            if len(self._data) < self._body:
                return False
            parts.append(bytes(self._data[: self._body]))
            del self._data[: self._body]
            self._body = None
            return True
        end = self._data.find(self._delimiter)
        if end < 0:
            if len(self._data) > self._most + len(self._delimiter) + 2:
                raise MultipartError(f"a part is larger than {self._most} bytes")
            return False
        body = bytes(self._data[:end])
        parts.append(body[:-2] if body.endswith(b"\r\n") else body.removesuffix(b"\n"))
        del self._data[:end]
        self._body = None
        return True

    def _read_head(self) -> bool:
        """Past delimiter and headers, to the body."""
        start = self._data.find(self._delimiter)
        if start < 0:
            if len(self._data) > _HEADER_LIMIT:
                raise MultipartError("no delimiter where a part should begin")
            return False
        after = start + len(self._delimiter)
        if self._data[after : after + 2] == b"--":
            self.finished = True
            return False
        ends = [(at, len(mark)) for mark in (b"\r\n\r\n", b"\n\n") if (at := self._data.find(mark, after)) >= 0]
        if not ends:
            if len(self._data) - after > _HEADER_LIMIT:
                raise MultipartError("the headers of a part do not end")
            return False
        at, width = min(ends)
        length = _LENGTH.search(bytes(self._data[after:at]).replace(b"\r", b""))
        self._body = int(length.group(1)) if length else -1
        if self._body > self._most:
            raise MultipartError(f"a part is larger than {self._most} bytes")
        del self._data[: at + width]
        return True
