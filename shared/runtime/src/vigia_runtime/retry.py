"""Trying again within a bound: exponential back-off with full jitter."""

from __future__ import annotations

import asyncio
import random
import time


class Budget:
    """Seconds in which a fault outside may heal. ``pause()`` waits before the next attempt; False when it is spent."""

    def __init__(self, seconds: float, first: float = 0.1, longest: float = 5.0) -> None:
        self._deadline = time.monotonic() + seconds
        self._ceiling = first
        self._longest = longest
        self.attempts = 0

    async def pause(self, stopping: asyncio.Event | None = None) -> bool:
        """Wait before the next attempt, less where ``stopping`` is set; False where no time is left for one."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            return False
        self.attempts += 1
        wait = min(left, random.uniform(self._ceiling / 2, self._ceiling))  # noqa: S311  jitter, not a secret
        self._ceiling = min(self._longest, self._ceiling * 2)
        if stopping is None:
            await asyncio.sleep(wait)
        else:
            try:
                async with asyncio.timeout(wait):
                    await stopping.wait()
            except TimeoutError:
                pass
        return True
