"""What a row of the table is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Goal:
    """One number of a row: what it should be, and what others reached, as text."""

    name: str
    goal: str
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """``measure(folder, draw)`` gives the numbers of one draw, None where the images are not there."""

    name: str
    about: str
    draws: int
    goals: tuple[Goal, ...]
    measure: Callable[[Path, int], dict[str, float] | None]
