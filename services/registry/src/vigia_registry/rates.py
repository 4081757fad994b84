"""How often an account may ask: a token bucket for every account and operation, in this process's memory."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from vigia_registry.settings import Rate, RateSettings
from vigia_runtime import metrics
from vigia_runtime.errors import LimitExceeded

#: Less than this is lost or won by rounding, when what is left is put together from spans of time.
_ROUNDING: Final = 1e-7
#: So many buckets are kept; the one that was asked for longest ago goes first, and would begin full again.
MOST_BUCKETS: Final = 10_000


class TooManyRequests(LimitExceeded):
    """Asked too often. ``retry_after``: whole seconds until it is worth asking again."""

    def __init__(self, operation: str, per_second: float, retry_after: int) -> None:
        super().__init__(
            "requests_per_second",
            f"{operation} was asked more often than {per_second:g} times a second. Ask again in {retry_after} s.",
            retryable=True,
        )
        self.retry_after = retry_after


class RateLimiter:
    """Counts requests. Each process has its own, so that an account gets as much from every replica.

    ``clock`` gives seconds that never go back.
    """

    def __init__(self, settings: RateSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._default = Rate(settings.per_second, settings.burst)
        self._rates = settings.operations
        self._clock = clock
        #: What is left of a bucket, and since when it fills up, by account, service and operation.
        self._buckets: OrderedDict[tuple[str, str, str], tuple[float, float]] = OrderedDict()

    def take(self, account_id: str, service: str, operation: str) -> None:
        """Count a request of the account for the operation; TooManyRequests, and nothing counted, beyond its rate."""
        rate = self._rates.get(operation, self._default)
        key, now = (account_id, service, operation), self._clock()
        left, since = self._buckets.get(key, (float(rate.burst), now))
        left = min(float(rate.burst), left + (now - since) * rate.per_second)
        refused = left < 1 - _ROUNDING
        self._buckets[key] = (left if refused else left - 1, now)
        self._buckets.move_to_end(key)
        while len(self._buckets) > MOST_BUCKETS:
            self._buckets.popitem(last=False)
        if refused:
            metrics.THROTTLED.labels(service, operation).inc()
            raise TooManyRequests(operation, rate.per_second, math.ceil((1 - left) / rate.per_second))
