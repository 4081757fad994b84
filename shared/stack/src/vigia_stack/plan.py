"""Which parts exist and which of them a stack needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vigia_stack.errors import StackError
from vigia_stack.parts.base import Part, Step
from vigia_stack.parts.kafka import KafkaPart
from vigia_stack.parts.objects import ObjectsPart
from vigia_stack.parts.postgres import PostgresPart
from vigia_stack.parts.triton import TritonPart
from vigia_stack.site import Site

THIRD_PARTY: dict[str, Callable[[Site], Part]] = {
    "kafka": KafkaPart,
    "postgres": PostgresPart,
    "objects": ObjectsPart,
    "triton": TritonPart,
}


def build(site: Site, names: Sequence[str]) -> list[Part | Step]:
    """The jobs of these names and of all they need. Raises StackError for an unknown name."""
    known: dict[str, Part | Step] = {name: make(site) for name, make in THIRD_PARTY.items()}
    wanted: dict[str, Part | Step] = {}

    def add(name: str) -> None:
        if name not in known:
            raise StackError(f"there is no part {name!r}; the parts are {', '.join(known)}")
        for need in known[name].needs:
            add(need)
        wanted.setdefault(name, known[name])

    for name in names:
        add(name)
    return list(wanted.values())
