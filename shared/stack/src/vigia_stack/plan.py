"""Which parts exist and which of them a stack needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vigia_stack.errors import StackError
from vigia_stack.parts.base import Part, Step
from vigia_stack.parts.gateway import GatewayPart
from vigia_stack.parts.kafka import KafkaPart
from vigia_stack.parts.objects import Buckets, ObjectsPart
from vigia_stack.parts.postgres import PostgresPart
from vigia_stack.parts.prometheus import PrometheusPart
from vigia_stack.parts.service import Migrate, ServicePart, Topics
from vigia_stack.parts.triton import TritonPart
from vigia_stack.services import AGGREGATOR, BUCKETS, PROCESSES, REGISTRY, SCRAPED, UPSTREAMS, USER_BUCKET
from vigia_stack.site import Site


def everything(site: Site, settings: Mapping[str, str] | None = None) -> dict[str, Part | Step]:
    """All parts and steps of the product by name, each after those it needs. `settings`: more for our own processes."""
    objects = ObjectsPart(site)
    jobs: list[Part | Step] = [
        KafkaPart(site),
        PostgresPart(site),
        objects,
        TritonPart(site),
        PrometheusPart(site, SCRAPED),
        GatewayPart(site, UPSTREAMS),
        Topics(site),
        Buckets(site, objects, (*BUCKETS, USER_BUCKET)),
        Migrate(site, REGISTRY, needs=("postgres",)),
        Migrate(site, AGGREGATOR, needs=("postgres",)),
        *(ServicePart(site, process, settings) for process in PROCESSES),
    ]
    return {job.name: job for job in jobs}


def build(site: Site, names: Sequence[str], settings: Mapping[str, str] | None = None) -> list[Part | Step]:
    """The jobs of these names and of all they need. Raises StackError for an unknown name."""
    known = everything(site, settings)
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
