"""State machines: each resource has one table of allowed transitions, and every change of state passes it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

S = TypeVar("S", bound=StrEnum)


class ForbiddenTransitionError(RuntimeError):
    """A bug: the code asked for a step that the table does not have."""


def step(table: Mapping[S, frozenset[S]], state: S, target: S) -> S:
    """``target``, when a thing in ``state`` may go there; ForbiddenTransitionError otherwise."""
    if target not in table[state]:
        raise ForbiddenTransitionError(f"{state.value} to {target.value}")
    return target
