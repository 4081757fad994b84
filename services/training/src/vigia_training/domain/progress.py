"""How far a training is and how long it will still take, from what its stages took so far."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

#: Of a stage that so little is done of, the estimate says as much as the measured speed.
_BELIEF = 0.05
#: Seconds of work after which the stages' own speed counts as much as the estimate's.
_PRIOR = 5.0


@dataclass(frozen=True, slots=True)
class Moment:
    """``fraction`` of the whole work that is done, in time, never falling; ``remaining`` seconds, which may rise."""

    stage: str
    fraction: float
    remaining: float


class Pace:
    """Turns what stages say of themselves into moments. ``expected``: seconds of each stage, in their order.

    Called with a stage and the share of it that is done. What the stages took corrects what is expected of those to
    come; a stage that nobody expected counts from when it begins.
    """

    def __init__(
        self,
        expected: Mapping[str, float],
        tell: Callable[[Moment], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._expected, self._tell, self._clock = dict(expected), tell, clock
        self._began = self._entered = clock()
        self._stage = ""
        self._first = (self._began, 0.0)
        self._done: dict[str, float] = {}
        self._fraction = 0.0

    def __call__(self, stage: str, share: float) -> None:
        now = self._clock()
        if stage != self._stage:
            if self._stage:
                self._done[self._stage] = self._done.get(self._stage, 0.0) + now - self._entered
            # Work that a checkpoint saved is no speed: what counts is what is done from here on.
            self._stage, self._entered, self._first = stage, now, (now, share)
        share = max(share, self._first[1])
        remaining = self._here(now, share) + self._factor(now, share) * sum(self._later())
        passed = now - self._began
        self._fraction = max(self._fraction, min(1.0, passed / (passed + remaining) if passed + remaining else 0.0))
        self._tell(Moment(stage, self._fraction, remaining))

    def _here(self, now: float, share: float) -> float:
        """Seconds that the present stage still needs."""
        guess = self._factor(now, share) * self._expected.get(self._stage, 0.0) * (1 - share)
        began, first = self._first
        if share <= first or now <= began:
            return guess
        measured = (now - began) / (share - first) * (1 - share)
        if self._stage not in self._expected:
            return measured
        belief = (share - first) / (share - first + _BELIEF)
        return belief * measured + (1 - belief) * guess

    def _factor(self, now: float, share: float) -> float:
        """How much longer than expected the stages took so far."""
        took = sum(seconds for stage, seconds in self._done.items() if stage in self._expected)
        hoped = sum(self._expected.get(stage, 0.0) for stage in self._done)
        if self._stage in self._expected:
            took += now - self._entered
            hoped += self._expected[self._stage] * (share - self._first[1])
        return (took + _PRIOR) / (hoped + _PRIOR)

    def _later(self) -> list[float]:
        stages = list(self._expected)
        after = stages.index(self._stage) + 1 if self._stage in stages else 0
        return [self._expected[stage] for stage in stages[after:] if stage not in self._done]
