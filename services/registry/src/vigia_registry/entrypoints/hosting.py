"""``vigia-registry hosting``: makes every Triton hold the versions that should serve."""

from __future__ import annotations

import asyncio

from vigia_registry.bootstrap import Deps, open_deps
from vigia_registry.hosting.controller import Controller
from vigia_registry.hosting.leadership import Leadership
from vigia_registry.hosting.replica import Replica
from vigia_registry.hosting.triton import Triton
from vigia_registry.settings import Settings
from vigia_runtime.errors import InvalidInput
from vigia_runtime.lifecycle import Lifecycle


async def main(life: Lifecycle, settings: Settings) -> None:
    """Run until told to stop."""
    if settings.triton is None:
        raise InvalidInput("no_triton", "hosting needs VIGIA_REGISTRY_TRITON__URLS")
    async with open_deps(settings) as deps:
        tritons = [Triton(address) for address in settings.triton.urls]
        try:
            life.health.probe("postgres", deps.database.ping)
            replicas = build_replicas(deps, tritons)
            for replica in replicas:
                life.health.probe(f"triton {replica.triton.address} answers", replica.probe)
            leadership = Leadership(deps.database.engine)
            controller = Controller(
                leadership, replicas, settings.hosting, settings.scaling, life.health, settings.audit.max_waiting
            )
            await controller.run(life.stopping)
        finally:
            await asyncio.gather(*(triton.close() for triton in tritons))


def build_replicas(deps: Deps, tritons: list[Triton]) -> list[Replica]:
    """A loop for every Triton; of all of them together, one loads at a time."""
    loading = asyncio.Semaphore(1)
    return [Replica(triton, deps.objects, loading, deps.settings.hosting, deps.settings.serving) for triton in tritons]
