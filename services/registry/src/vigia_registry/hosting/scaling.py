"""How many inference units a version should have, from what its Tritons did. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vigia_registry.hosting.settings import ScalingSettings

_HARDLY = 0.1


@dataclass(frozen=True, slots=True)
class Tally:
    """What one Triton has counted for a model since it was loaded; every number only grows.

    ``failed`` requests were taken and not answered. ``queue_seconds`` is how long the answered ones waited,
    ``busy_seconds`` how long units worked, added up over requests and units.
    """

    answered: int = 0
    failed: int = 0
    queue_seconds: float = 0.0
    busy_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Reading:
    """A tally as it was ``at`` a moment (monotonic seconds). Only readings of the same ``load`` can be compared.

    ``refused`` counts golden inferences that the model's queue did not take or did not get done in time.
    """

    load: int
    at: float
    tally: Tally
    refused: int = 0


@dataclass(frozen=True, slots=True)
class Window:
    """A version over a stretch of time, on all its Tritons.

    ``queue_seconds``: mean wait of an answered request. ``busy_units``: units at work, in the mean of time and
    Tritons. ``refused``: whether a Triton's queue was seen to be full.
    """

    queue_seconds: float
    busy_units: float
    refused: bool = False


def window(before: Mapping[str, Reading], after: Mapping[str, Reading]) -> Window | None:
    """What happened between two looks, by Triton; None where no Triton can be compared with itself."""
    seconds = waited = busy = 0.0
    answered = 0
    refused = False
    for where, last in after.items():
        first = before.get(where)
        if first is None or first.load != last.load or last.at <= first.at:
            continue
        if last.tally.answered < first.tally.answered:  # counted anew, without us
            continue
        seconds += last.at - first.at
        answered += last.tally.answered - first.tally.answered
        waited += last.tally.queue_seconds - first.tally.queue_seconds
        busy += last.tally.busy_seconds - first.tally.busy_seconds
        refused = refused or last.refused > first.refused
    if not seconds:
        return None
    return Window(waited / answered if answered else 0.0, busy / seconds, refused)


def within(units: int, least: int, most: int | None) -> int:
    """``units`` brought into the bounds that StartModel gave; without ``most`` the number is fixed."""
    return max(least, min(units, least if most is None else most))


def decide(units: int, least: int, most: int | None, windows: Sequence[Window], settings: ScalingSettings) -> int:
    """The units that a version should have, one more or one less than ``units`` at most, and always within bounds.

    ``windows``: what happened since the units last changed and were all in service, oldest first; so every change
    waits until it has evidence of its own. More units when requests waited too long in each of the last
    ``out_windows``. Fewer when, in each of the last ``in_windows``, nobody waited for half as long and one unit less
    would still have had time to spare: what follows from one decision is never the reason for the opposite one.
    """
    units = within(units, least, most)
    more = [window.refused or _wait(window, units) > settings.queue_seconds for window in windows]
    if len(more) >= settings.out_windows and all(more[-settings.out_windows :]):
        return within(units + 1, least, most)
    fewer = [
        not window.refused
        and _wait(window, units) <= settings.queue_seconds / 2
        and window.busy_units <= settings.utilization * (units - 1)
        for window in windows
    ]
    if len(fewer) >= settings.in_windows and all(fewer[-settings.in_windows :]):
        return within(units - 1, least, most)
    return units


def _wait(window: Window, units: int) -> float:
    """Seconds that requests waited for a unit; where hardly a unit was busy they waited for something else."""
    return window.queue_seconds if window.busy_units > _HARDLY * units else 0.0
