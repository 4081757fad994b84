"""Keeps many images within a bound: pixels that do not fit in memory lie in a file."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vigia_training.learning.detection.annotated import Annotated, Pixels

#: Bytes of pixels in memory, and of those in a file, which may also take at most so much of what is free.
MEMORY = 1024**3
DISK = 4 * 1024**3
_FREE = 0.5


def room(memory: int = MEMORY, disk: int = DISK) -> int:
    """Bytes of pixels that can be kept on this machine."""
    return memory + min(disk, int(_FREE * shutil.disk_usage(tempfile.gettempdir()).free))


class Keeping:
    """A place for images of ``sizes`` bytes of pixels, put in this order. OSError where the file finds no room.

    The first lie in memory, up to ``memory`` bytes; the rest in one file without a name, which ends with this process
    and which the system reads ahead of and drops from memory as it sees fit.
    """

    def __init__(self, sizes: Sequence[int], memory: int = MEMORY) -> None:
        ends = np.cumsum(sizes, dtype=np.int64)
        self._inside = int(np.searchsorted(ends, memory, side="right"))
        self._put, self._at = 0, 0
        self._spilled: Pixels | None = None
        rest = int(sum(sizes[self._inside :]))
        if rest:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as this
            # Taken now: a page that finds no room later would end the process.
            os.posix_fallocate(self._file.fileno(), 0, rest)
            self._spilled = np.memmap(self._file, np.uint8, "r+", shape=(rest,))

    def keep(self, image: Annotated) -> Annotated:
        """The same image, its pixels kept."""
        self._put += 1
        if self._put <= self._inside:
            return image
        assert self._spilled is not None
        begin, self._at = self._at, self._at + image.pixels.size
        pixels = self._spilled[begin : self._at].reshape(image.pixels.shape)
        pixels[:] = image.pixels
        return replace(image, pixels=pixels)
