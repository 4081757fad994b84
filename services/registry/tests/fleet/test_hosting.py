"""Versions come and go in a real Triton, while it is asked, killed and given broken models."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import delete, text

from vigia_contracts.topics import DEPLOYMENTS
from vigia_registry.entrypoints.hosting import build_replicas
from vigia_registry.hosting import overview, service
from vigia_registry.hosting.controller import Controller
from vigia_registry.hosting.domain import Desired, HostingView, Observed
from vigia_registry.hosting.leadership import Leadership
from vigia_registry.hosting.replica import STALE_SECONDS
from vigia_registry.hosting.replica_plan import Wanted
from vigia_registry.hosting.tables import hostings
from vigia_registry.hosting.triton import ModelBusy, ModelError, Triton
from vigia_runtime.errors import Transient
from vigia_runtime.health import Health
from vigia_stack.parts.triton import TritonPart
from vigia_stack.stack import Stack
from vigia_vision import Artifact

from .conftest import OWNER

Wait = Callable[..., Awaitable[Any]]
Make = Callable[..., Artifact]
#: The tensor of the golden sample.
SAMPLE = "golden/a.png"


@pytest.fixture(scope="module")
def own_triton(stack_state: Path) -> Iterator[Stack]:
    """A Triton that these tests may kill."""
    with Stack(["triton"], stack_state / "fleet-triton") as stack:
        yield stack


@pytest.fixture
async def triton(own_triton: Stack) -> AsyncIterator[Triton]:
    client = Triton(own_triton.part(TritonPart).addresses.grpc)
    yield client
    await client.close()


class Hosting:
    """A hosting process's work, run in the test."""

    def __init__(self, fleet: Any, *addresses: str) -> None:
        self.fleet = fleet
        self._tritons = [Triton(address) for address in addresses]
        self.replicas = build_replicas(fleet.deps, self._tritons)
        self._stopping = asyncio.Event()
        settings = fleet.deps.settings
        self.controller = Controller(
            Leadership(fleet.deps.database.engine), self.replicas, settings.hosting, settings.scaling, Health("hosting")
        )
        self._task = asyncio.create_task(self.controller.run(self._stopping))

    @property
    def leads(self) -> bool:
        return self.replicas[0].orders is not None

    async def stop(self) -> None:
        if self._task.cancelled():
            return
        self._stopping.set()
        await self._task
        for triton in self._tritons:
            await triton.close()

    async def kill(self) -> None:
        """As ``kill -9`` ends it: in the middle of whatever it does; its database connection goes with it."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        for triton in self._tritons:
            await triton.close()


@pytest.fixture
async def hosting(hosting_fleet: Any, triton: Triton) -> AsyncIterator[Hosting]:
    running = Hosting(hosting_fleet, triton.address)
    yield running
    await running.stop()
    for name in await triton.loaded():
        await triton.unload(name, 30)


async def start(fleet: Any, version: UUID, units: int = 1, most: int | None = None) -> None:
    async with fleet.deps.database.transaction() as session:
        await service.request_start(session, version, units, most)


async def stop(fleet: Any, version: UUID) -> None:
    async with fleet.deps.database.transaction() as session:
        await service.request_stop(session, version)


async def view(fleet: Any, version: UUID) -> HostingView:
    async with fleet.deps.database.transaction() as session:
        return await service.view(session, version)


def becomes(fleet: Any, version: UUID, observed: Observed) -> Callable[[], Awaitable[HostingView | None]]:
    async def look() -> HostingView | None:
        found = await view(fleet, version)
        return found if found.observed is observed else None

    return look


async def names(fleet: Any) -> dict[int, str]:
    """The Triton names of announced versions."""
    return {
        int(event.data.model_version): event.data.triton_model
        for key, event in await fleet.take(DEPLOYMENTS)
        if event is not None
    }


class Traffic:
    """Asks a model without pause and counts what fails. Of several Tritons the next is asked where one is away."""

    def __init__(self, tritons: Sequence[Triton], name: str, artifact: Artifact, callers: int = 1) -> None:
        self._sample = next(artifact.golden_samples())
        self._tritons = itertools.cycle(tritons)
        self._tries = len(tritons)
        self._name, self._manifest = name, artifact.manifest
        self.answered = 0
        self.failures: list[Exception] = []
        self._going = True
        self._tasks = [asyncio.create_task(self._run()) for _ in range(callers)]

    async def _ask(self) -> None:
        for left in reversed(range(self._tries)):
            try:
                await next(self._tritons).infer(self._name, self._manifest, self._sample.tensor, 5)
            except (ModelError, Transient):
                if not left:
                    raise
            else:
                return

    async def _run(self) -> None:
        while self._going:
            try:
                await self._ask()
                self.answered += 1
            except (ModelError, ModelBusy, Transient) as error:
                self.failures.append(error)
                await asyncio.sleep(0.05)

    async def end(self) -> None:
        self._going = False
        await asyncio.gather(*self._tasks)


async def test_a_version_is_announced_once_it_answers_and_changes_under_load_without_a_failure(
    hosting: Hosting, hosting_fleet: Any, triton: Triton, eventually: Wait, make_artifact: Make
) -> None:
    fleet, first = hosting_fleet, make_artifact()
    one, two = await fleet.version(1, first), await fleet.version(2, make_artifact(scale=2.0))
    broken, wrong = (
        await fleet.version(3, make_artifact(model=b"no model")),
        await fleet.version(4, make_artifact(answer=0.3)),
    )
    await start(fleet, one)
    assert (await view(fleet, one)).desired is Desired.HOSTED
    served = await eventually(becomes(fleet, one, Observed.SERVING))
    assert served.units == 1
    [(key, event)] = await fleet.take(DEPLOYMENTS)
    assert key == event.data.model_arn
    name = event.data.triton_model
    assert "cookies.v1." in name

    traffic = Traffic([triton], name, first)
    # Another version, more units of this one, a graph that cannot be loaded, a graph that answers otherwise.
    for version, units in ((one, 2), (two, 1), (broken, 1), (wrong, 1)):
        await start(fleet, version, units)
    failed = await eventually(becomes(fleet, broken, Observed.FAILED))
    assert "no model" not in failed.reason
    assert "protobuf" in failed.reason.lower()
    refused = await eventually(becomes(fleet, wrong, Observed.FAILED))
    assert "golden/a.png: output score differs by 0.1" in refused.reason
    await eventually(becomes(fleet, two, Observed.SERVING))

    async def grown() -> bool:
        return (await view(fleet, one)).units == 2 and (await triton.instances(name))[0] == 2

    await eventually(grown)
    announced = await names(fleet)
    assert announced.keys() == {2}
    await stop(fleet, two)
    await eventually(becomes(fleet, two, Observed.DRAINING))
    assert await fleet.take(DEPLOYMENTS) == [(f"{key[:-1]}2", None)]
    await eventually(becomes(fleet, two, Observed.ABSENT))
    await traffic.end()
    assert traffic.answered > 50
    assert traffic.failures == []
    assert set(await triton.loaded()) == {name}


async def test_a_stopped_version_answers_until_everybody_knows(
    hosting: Hosting, hosting_fleet: Any, triton: Triton, eventually: Wait, make_artifact: Make
) -> None:
    artifact = make_artifact()
    version = await hosting_fleet.version(1, artifact)
    await start(hosting_fleet, version)
    await eventually(becomes(hosting_fleet, version, Observed.SERVING))
    name = (await names(hosting_fleet))[1]
    await stop(hosting_fleet, version)
    await eventually(becomes(hosting_fleet, version, Observed.DRAINING))
    assert [event for _, event in await hosting_fleet.take(DEPLOYMENTS)] == [None]
    sample = next(artifact.golden_samples())
    await triton.infer(name, artifact.manifest, sample.tensor, 5)
    await eventually(becomes(hosting_fleet, version, Observed.ABSENT))
    with pytest.raises(ModelError):
        await triton.infer(name, artifact.manifest, sample.tensor, 5)


async def test_a_version_that_was_stopped_can_be_started_at_once(
    hosting: Hosting, hosting_fleet: Any, triton: Triton, eventually: Wait, make_artifact: Make
) -> None:
    artifact = make_artifact()
    version = await hosting_fleet.version(1, artifact)
    for _ in range(2):
        await start(hosting_fleet, version)
        await eventually(becomes(hosting_fleet, version, Observed.SERVING))
        name = (await names(hosting_fleet))[1]
        await stop(hosting_fleet, version)
        await eventually(becomes(hosting_fleet, version, Observed.DRAINING))
    # Also while it is on its way out: then it never left.
    await start(hosting_fleet, version)
    await eventually(becomes(hosting_fleet, version, Observed.SERVING))
    assert (await names(hosting_fleet))[1] == name
    await triton.infer(name, artifact.manifest, next(artifact.golden_samples()).tensor, 5)


async def test_a_stopped_version_waits_until_its_end_is_announced_but_not_for_ever(
    hosting: Hosting, hosting_fleet: Any, triton: Triton, eventually: Wait
) -> None:
    version = await hosting_fleet.version(1)
    await start(hosting_fleet, version)
    await eventually(becomes(hosting_fleet, version, Observed.SERVING))
    await stop(hosting_fleet, version)
    began = asyncio.get_running_loop().time()
    # Nobody publishes what is announced.
    await eventually(becomes(hosting_fleet, version, Observed.ABSENT))
    limit = hosting_fleet.deps.settings.hosting.drain_limit_seconds
    assert asyncio.get_running_loop().time() - began >= limit - 0.5


async def test_units_follow_the_load_and_no_request_fails(
    hosting: Hosting, hosting_fleet: Any, triton: Triton, eventually: Wait, make_artifact: Make
) -> None:
    fleet, artifact = hosting_fleet, make_artifact(work=150)
    version = await fleet.version(1, artifact)
    await start(fleet, version, 1, most=2)
    await eventually(becomes(fleet, version, Observed.SERVING))
    name = (await names(fleet))[1]
    seen: list[tuple[int, int]] = []

    async def units() -> tuple[int, int]:
        found = await view(fleet, version)
        pair = (found.desired_units, found.units)
        if pair not in seen[-1:]:
            seen.append(pair)
        return pair

    async def are(wanted: int) -> bool:
        return await units() == (wanted, wanted)

    light = Traffic([triton], name, artifact)
    await eventually(lambda: are(1))
    heavy = Traffic([triton], name, artifact, callers=12)
    await eventually(lambda: are(2))
    assert (await triton.instances(name))[0] == 2
    await heavy.end()
    # One caller never waits for another: what two units do, one can do.
    await light.end()
    await eventually(lambda: are(1))
    assert (await triton.instances(name))[0] == 1
    assert seen == [(1, 1), (2, 1), (2, 2), (1, 2), (1, 1)]
    assert heavy.answered > 50
    assert light.failures == heavy.failures == []
    # The version was announced once, and nothing else was.
    assert await fleet.take(DEPLOYMENTS) == []
    async with fleet.deps.database.transaction() as session:
        [shown] = await overview.units(session)
    assert (shown.project, shown.version, shown.min_units, shown.max_units) == ("cookies", "1", 1, 2)
    assert (shown.desired_units, shown.in_service_units) == (1, 1)


@pytest.mark.parametrize("busy", [True, False], ids=["asked", "idle"])
async def test_one_dead_unit_of_two_is_found_and_replaced_while_the_other_answers(
    hosting: Hosting,
    hosting_fleet: Any,
    own_triton: Stack,
    triton: Triton,
    eventually: Wait,
    make_artifact: Make,
    busy: bool,
) -> None:
    server = own_triton.status("triton").pid
    assert server is not None
    others = set(_backends(server))
    fleet, artifact = hosting_fleet, make_artifact(work=5)
    version = await fleet.version(1, artifact)
    await start(fleet, version, 2)
    await eventually(becomes(fleet, version, Observed.SERVING))
    name = (await names(fleet))[1]
    before = set(_backends(server)) - others
    victim = max(before) if before else pytest.skip("this Triton has no backend processes of its own")
    shown: dict[int, set[str]] = {}

    async def repaired() -> bool:
        async with fleet.deps.database.transaction() as session:
            [found] = await overview.hosted(session, OWNER)
        assert found.observed is Observed.SERVING
        texts = shown.setdefault(found.in_service_units, set())
        texts |= {found.reason or "", *(sighting.reason for sighting in found.tritons)}
        return found.in_service_units == 2 and 1 in shown

    traffic = Traffic([triton], name, artifact, callers=2) if busy else None
    os.kill(victim, signal.SIGKILL)
    await eventually(repaired)
    assert shown.keys() == {1, 2}
    assert any("Stub process" in text or "requests fail" in text for text in shown[1])

    async def replaced() -> bool:
        assert name in await triton.loaded()  # it never left
        return not before & set(_backends(server))

    await eventually(replaced)
    if traffic is not None:
        answered = traffic.answered
        await eventually(lambda: _more(traffic, answered + 20))
        await traffic.end()
        # Only who was with the dead one was failed, which takes it a second each time; the other one answered.
        assert traffic.failures
        assert all("Stub process" in str(error) for error in traffic.failures)
        assert traffic.answered > 5 * len(traffic.failures)
    assert await fleet.take(DEPLOYMENTS) == []


async def test_two_tritons_serve_and_one_that_was_killed_gets_its_versions_back(
    hosting_fleet: Any, own_triton: Stack, triton: Triton, stack_state: Path, eventually: Wait, make_artifact: Make
) -> None:
    fleet, artifact = hosting_fleet, make_artifact()
    with Stack(["triton"], stack_state / "fleet-triton-2") as stack:
        second = Triton(stack.part(TritonPart).addresses.grpc)
        running = Hosting(fleet, triton.address, second.address)
        try:
            version = await fleet.version(1, artifact)
            await start(fleet, version, 2)
            await eventually(becomes(fleet, version, Observed.SERVING))
            name = (await names(fleet))[1]
            for one in (triton, second):
                assert set(await one.loaded()) == {name}
                await one.infer(name, artifact.manifest, next(artifact.golden_samples()).tensor, 5)
            traffic = Traffic([triton, second], name, artifact)
            killed = stack.status("triton").pid
            assert killed is not None
            os.killpg(killed, signal.SIGKILL)

            async def in_service(units: int) -> bool:
                found = await view(fleet, version)
                assert found.observed is Observed.SERVING
                return found.units == units

            # Half of the units, in the mean of both, and then all of them again.
            await eventually(lambda: in_service(1))
            await eventually(lambda: in_service(2), within=60)
            assert name in await second.loaded()
            answered = (await second.loaded())[name].answered
            await eventually(lambda: _asked(second, name, answered + 10))
            await traffic.end()
            assert traffic.answered > 50
            assert traffic.failures == []
            assert await fleet.take(DEPLOYMENTS) == []
        finally:
            await running.stop()
            await triton.unload(name, 30)
            await second.close()


async def _more(traffic: Traffic, answered: int) -> bool:
    return traffic.answered >= answered


async def _asked(triton: Triton, name: str, answered: int) -> bool:
    return (await triton.loaded())[name].answered >= answered


async def test_triton_and_its_backend_may_be_killed(
    hosting: Hosting, hosting_fleet: Any, own_triton: Stack, triton: Triton, eventually: Wait, make_artifact: Make
) -> None:
    artifact = make_artifact()
    version = await hosting_fleet.version(1, artifact)
    await start(hosting_fleet, version)
    await eventually(becomes(hosting_fleet, version, Observed.SERVING))
    name = (await names(hosting_fleet))[1]
    sample = next(artifact.golden_samples())

    async def answers() -> bool:
        try:
            await triton.infer(name, artifact.manifest, sample.tensor, 5)
        except (ModelError, Transient):
            return False
        return True

    # The database hangs up on everybody: the right to act is won back.
    async with hosting_fleet.deps.database.transaction() as session:
        others = "select count(pg_terminate_backend(pid)) from pg_stat_activity where pid <> pg_backend_pid()"
        assert (await session.execute(text(f"{others} and datname = current_database()"))).scalar_one() > 0
    server = own_triton.status("triton").pid
    assert server is not None
    backends = _backends(server) or pytest.skip("this Triton has no backend processes of its own")
    for victims in (backends, [server]):
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
        await eventually(lambda: _negated(answers))
        await eventually(answers, within=120)
    # Nobody was told anything: what was announced is true again.
    assert (await view(hosting_fleet, version)).observed is Observed.SERVING
    assert await hosting_fleet.take(DEPLOYMENTS) == []


async def test_another_process_takes_over_in_the_middle_and_clears_up(
    hosting: Hosting, hosting_fleet: Any, triton: Triton, eventually: Wait, make_artifact: Make
) -> None:
    async def leads() -> bool:
        return hosting.leads

    await eventually(leads)
    second = Hosting(hosting_fleet, triton.address)
    try:
        version, left = await hosting_fleet.version(1, make_artifact()), await hosting_fleet.version(2)
        await start(hosting_fleet, left)
        await eventually(becomes(hosting_fleet, left, Observed.SERVING))
        await start(hosting_fleet, version)
        await eventually(becomes(hosting_fleet, version, Observed.LOADING))
        assert not second.leads
        await hosting.kill()
        # What nobody wants any more is in Triton without anybody knowing it.
        async with hosting_fleet.deps.database.transaction() as session:
            await session.execute(delete(hostings).where(hostings.c.model_version_id == left))
        await eventually(becomes(hosting_fleet, version, Observed.SERVING))
        assert second.leads
        namespace = hosting_fleet.deps.settings.hosting.namespace

        async def only_the_wanted() -> bool:
            ours = [name for name in await triton.loaded() if name.startswith(f"{namespace}.")]
            return len(ours) == 1 and ".v1." in ours[0]

        await eventually(only_the_wanted)
    finally:
        await second.stop()


async def test_who_was_cut_off_from_the_database_takes_nothing_away(
    hosting: Hosting, hosting_fleet: Any, triton: Triton, eventually: Wait
) -> None:
    """It may not have heard yet that another process leads, and what that one has loaded."""
    version = await hosting_fleet.version(1)
    await start(hosting_fleet, version)
    await eventually(becomes(hosting_fleet, version, Observed.SERVING))
    [(name, order)] = (hosting.replicas[0].orders or {}).items()
    [cut_off] = build_replicas(hosting_fleet.deps, [triton])
    for orders in ({}, {name: replace(order, wanted=Wanted(2))}):
        cut_off.obey(orders)
        cut_off.ordered_at -= STALE_SECONDS
        await cut_off.round()
        assert (await triton.instances(name))[0] == 1
    cut_off.obey({})
    await cut_off.round()
    assert name not in await triton.loaded()


async def test_the_lead_of_a_machine_that_vanished_is_free_soon_and_not_too_soon(hosting_fleet: Any) -> None:
    leadership = Leadership(hosting_fleet.deps.database.engine)
    assert await leadership.acquire()
    try:
        async with leadership.transaction() as session:
            idle, interval, count = [
                int((await session.execute(text(f"show tcp_keepalives_{part}"))).scalar_one())
                for part in ("idle", "interval", "count")
            ]
    finally:
        await leadership.drop()
    assert 2 * STALE_SECONDS <= idle + interval * count <= 60


async def test_a_version_whose_manifest_cannot_be_read_fails_alone(
    hosting: Hosting, hosting_fleet: Any, eventually: Wait
) -> None:
    spoiled, sound = await hosting_fleet.version(1), await hosting_fleet.version(2)
    async with hosting_fleet.deps.database.transaction() as session:
        await session.execute(
            text('update registry.model_versions set manifest = \'{"kind": "of another time"}\' where id = :id'),
            {"id": spoiled},
        )
    await start(hosting_fleet, spoiled)
    await start(hosting_fleet, sound)
    failed = await eventually(becomes(hosting_fleet, spoiled, Observed.FAILED))
    assert "no manifest" in failed.reason
    await eventually(becomes(hosting_fleet, sound, Observed.SERVING))


async def _negated(condition: Callable[[], Awaitable[bool]]) -> bool:
    return not await condition()


def _backends(server: int) -> list[int]:
    """The backend processes of that Triton; a server with a C++ backend has none."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == server and "backend_stub" in (entry / "cmdline").read_text():
                found.append(int(entry.name))
    return found
