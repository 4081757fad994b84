"""Is the worker still doing its work? A pure judgement of what was seen of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Progress:
    """Follows how far records were finished. Times are of the monotonic clock, seconds.

    The worker stalls when records wait and none was finished for ``limit_seconds``. An idle worker never stalls.
    """

    limit_seconds: float
    finished: int = 0
    _seen: int = -1
    _since: float = 0.0

    def stalled(self, waiting: int, now: float) -> bool:
        """``waiting``: records between the committed offset and the end of what is assigned."""
        if waiting == 0 or self.finished != self._seen:
            self._seen = self.finished
            self._since = now
            return False
        return now - self._since > self.limit_seconds
