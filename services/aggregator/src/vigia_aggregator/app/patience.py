"""Trying again where a fault lies outside and will pass, within a bound."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from vigia_runtime.retry import Budget

T = TypeVar("T")

_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 2.0


class Patience:
    """Repeats what failed by a fault that passes.

    ``passes`` tells such faults from others; ``seconds`` bounds how long one call is repeated; ``on_retry`` hears of
    every failed attempt.
    """

    def __init__(
        self,
        passes: Callable[[BaseException], bool],
        seconds: float,
        on_retry: Callable[[str, BaseException], None],
    ) -> None:
        self._passes = passes
        self._seconds = seconds
        self._on_retry = on_retry

    async def run(self, what: str, attempt: Callable[[], Awaitable[T]]) -> T:
        """The result of ``attempt``. Its error is raised when it does not pass by itself, or when time is up."""
        budget = Budget(self._seconds, _FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS)
        while True:
            try:
                return await attempt()
            except Exception as error:
                if not self._passes(error) or not await budget.pause():
                    raise
                self._on_retry(what, error)
