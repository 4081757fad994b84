"""How many images may be inside at once, whichever door they came by."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class FullError(Exception):
    """Every place is taken."""


class Places:
    """``count`` places, which bound the memory of what is being judged."""

    def __init__(self, count: int) -> None:
        self._free = count

    @contextmanager
    def one(self) -> Iterator[None]:
        """A place for the time of the block; FullError."""
        if self._free <= 0:
            raise FullError
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1
