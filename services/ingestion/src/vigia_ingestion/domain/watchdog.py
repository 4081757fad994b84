"""What to do about a camera, decided from how its frames come.

A camera is well when frames arrive, not when a connection exists. The functions here are pure: the caller measures
on the monotonic clock, asks once a tick, and does what it is told.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class Action(StrEnum):
    """What the supervisor of a camera does now."""

    OK = "ok"  # leave it alone
    RESTART = "restart"  # give up the reader, if there is one, and open the source again
    HOLD = "hold"  # no reader; wait for the back-off to pass
    FAILED = "failed"  # as hold, and so often in vain that a person should look


@dataclass(frozen=True, slots=True)
class Limits:
    """All in seconds but ``failed_after``, which counts attempts in a row without a good run."""

    stall: float = 5.0
    opening: float = 10.0
    backoff_first: float = 1.0
    backoff_most: float = 60.0
    good_run: float = 30.0
    failed_after: int = 6


@dataclass(frozen=True, slots=True)
class History:
    """Restarts since frames last came for ``good_run`` seconds, and when the next one may be."""

    attempts: int = 0
    retry_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Observation:
    """One look at a camera. Times are monotonic seconds; ``first_frame_at`` and ``last_frame_at`` are this reader's.

    ``held_back`` is true while the reader waits for us (policy `every` with a full buffer): its silence is ours.
    """

    now: float
    reader_alive: bool
    opened_at: float
    first_frame_at: float | None = None
    last_frame_at: float | None = None
    held_back: bool = False

    @property
    def frame_age(self) -> float:
        """Seconds since the last frame, or since opening when there was none."""
        return self.now - (self.last_frame_at if self.last_frame_at is not None else self.opened_at)


def limits_for(blind_after_seconds: float, frames_per_second: float | None) -> Limits:
    """The limits of a camera that should send at this rate: a slow camera is not stalled between two frames."""
    cadence = 2.0 / frames_per_second if frames_per_second else 0.0
    stall = max(blind_after_seconds, cadence)
    return Limits(stall=stall, opening=max(Limits().opening, stall))


def decide(seen: Observation, history: History, limits: Limits, *, silence_is_fine: bool = False) -> Action:
    """The action for this moment.

    ``silence_is_fine`` is for sources that send when there is something to send, such as a folder.
    """
    if not seen.reader_alive:
        if seen.now >= history.retry_at:
            return Action.RESTART
        return Action.FAILED if history.attempts >= limits.failed_after else Action.HOLD
    if seen.held_back or silence_is_fine:
        return Action.OK
    patience = limits.opening if seen.last_frame_at is None else limits.stall
    return Action.RESTART if seen.frame_age > patience else Action.OK


def backoff(attempt: int, limits: Limits, jitter: float) -> float:
    """Seconds to wait before restart number ``attempt`` (from 1). ``jitter`` in [0, 1) spreads cameras apart."""
    base = limits.backoff_first * 2.0 ** min(attempt - 1, 32)
    return max(limits.backoff_first, min(limits.backoff_most, base) * (0.75 + 0.25 * jitter))


def reader_ended(seen: Observation, history: History, limits: Limits, jitter: float) -> History:
    """The history after a reader died or was given up; a good run before that wipes the slate."""
    first, last = seen.first_frame_at, seen.last_frame_at
    good = first is not None and last is not None and last - first >= limits.good_run
    attempts = 1 if good else history.attempts + 1
    return replace(history, attempts=attempts, retry_at=seen.now + backoff(attempts, limits, jitter))
