"""What to do in one Triton, from what it should hold and what it holds. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from enum import StrEnum


class Health(StrEnum):
    """What the last inference of its golden sample said."""

    UNKNOWN = "unknown"
    DUE = "due"  # was good, and it is time to look again
    GOOD = "good"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Wanted:
    """``load`` False: leave it while it is there, but do not bring it back (it drains)."""

    units: int
    load: bool = True


@dataclass(frozen=True, slots=True)
class Found:
    """A model that is loaded; what is not loaded is not found."""

    units: int
    health: Health = Health.UNKNOWN


class Do(StrEnum):
    LOAD = "load"
    RESIZE = "resize"  # load again over itself with other units; requests go on being answered
    CHECK = "check"
    REPAIR = "repair"  # load again over itself, and where that does not help, unload first
    UNLOAD = "unload"


@dataclass(frozen=True, slots=True)
class Step:
    do: Do
    name: str


def plan(wanted: Mapping[str, Wanted], found: Mapping[str, Found], waiting: Set[str] = frozenset()) -> list[Step]:
    """The next steps, in order: look after what serves, then make room, then load.

    ``found`` holds only models that are ours to unload. ``waiting`` are models whose last load failed and whose next
    attempt is not due; they are neither loaded nor repaired now.
    """
    care: list[Step] = []
    room: list[Step] = []
    load: list[Step] = []
    for name, model in sorted(found.items()):
        wish = wanted.get(name)
        if wish is None:
            room.append(Step(Do.UNLOAD, name))
        elif model.health is Health.BAD:
            if wish.load and name not in waiting:
                care.append(Step(Do.REPAIR, name))
        elif wish.load and model.units != wish.units and name not in waiting:
            load.append(Step(Do.RESIZE, name))
        elif model.health in (Health.UNKNOWN, Health.DUE):
            care.append(Step(Do.CHECK, name))
    for name, wish in sorted(wanted.items()):
        if wish.load and name not in waiting and name not in found:
            load.append(Step(Do.LOAD, name))
    return care + room + load
