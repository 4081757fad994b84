"""Reconciles what should be hosted with what every Triton has: one leader, one loop, one loop per Triton."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from vigia_registry.hosting import announcements, repository, usage
from vigia_registry.hosting.autoscaler import Autoscaler
from vigia_registry.hosting.domain import Desired, Hosting, Observed
from vigia_registry.hosting.gauges import Gauges
from vigia_registry.hosting.leadership import Leadership
from vigia_registry.hosting.replica import Order, Replica, nap
from vigia_registry.hosting.repository import Target
from vigia_registry.hosting.settings import HostingSettings, ScalingSettings
from vigia_registry.hosting.versions import Limits, ReplicaReport, advance, wanted
from vigia_runtime.errors import Transient
from vigia_runtime.health import Health
from vigia_runtime.logging import get_logger
from vigia_runtime.postgres import transient
from vigia_runtime.retry import Budget

log = get_logger(__name__)

POLL_SECONDS = 0.3
STANDBY_SECONDS = 1.0
#: How long the database may be away before the process ends.
OUTAGE_SECONDS = 60.0


class Controller:
    """The hosting process's work. Several may run; one acts, the others wait for its end.

    ``most_waiting``: while so many announcements wait for Kafka, units are not measured.
    """

    def __init__(
        self,
        leadership: Leadership,
        replicas: Sequence[Replica],
        settings: HostingSettings,
        scaling: ScalingSettings,
        health: Health,
        most_waiting: int | None = None,
    ) -> None:
        self._leadership = leadership
        self._most_waiting = most_waiting
        self._replicas = replicas
        self._settings = settings
        self._limits = Limits(
            drain=timedelta(seconds=settings.drain_seconds),
            drain_limit=timedelta(seconds=settings.drain_limit_seconds),
            start=timedelta(seconds=settings.start_seconds),
        )
        self._autoscaler = Autoscaler(scaling)
        self._gauges = Gauges()
        self._health = health
        self._wake = asyncio.Event()
        for replica in replicas:
            replica.changed = self._wake
        #: Since when nobody is told any more of versions that drain.
        self._told: dict[UUID, datetime] = {}
        self._shown: dict[tuple[UUID, str], ReplicaReport] = {}
        self._measured: datetime | None = None

    async def run(self, stopping: asyncio.Event) -> None:
        """Until ``stopping``. Transient when the database stays away; what serves goes on serving then."""
        beat = self._health.heartbeat("hosting", 3 * OUTAGE_SECONDS)
        try:
            while not stopping.is_set() and not await self._lead(stopping):
                beat.tick()
                await _pause(stopping, STANDBY_SECONDS)
            if not stopping.is_set():
                log.info("leading", tritons=[replica.triton.address for replica in self._replicas])
                await self._work(stopping)
        finally:
            await self._leadership.drop()

    async def _work(self, stopping: asyncio.Event) -> None:
        beat = self._health.heartbeat("hosting", 3 * OUTAGE_SECONDS)
        # A load and an unload each, one Triton after the other.
        limit = 60 + 2 * self._settings.load_seconds * len(self._replicas)
        loops = [
            asyncio.create_task(
                replica.run(stopping, self._health.heartbeat(f"triton {replica.triton.address}", limit)),
                name=f"triton {replica.triton.address}",
            )
            for replica in self._replicas
        ]
        try:
            while not stopping.is_set():
                beat.tick()
                for loop in loops:
                    if loop.done():
                        loop.result()
                try:
                    await self.round()
                except Exception as error:
                    if not transient(error):
                        raise
                    log.warning("hosting waits for postgres", error=type(error).__name__)
                    if not await self._return(stopping):
                        return
                await nap(self._wake, POLL_SECONDS)
        finally:
            # A load under way goes on in Triton; whoever leads next finds it there.
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)

    async def round(self) -> None:
        """Read what should be, tell every Triton's loop, write down what has become of each version."""
        async with self._leadership.transaction() as session:
            now, targets = await repository.targets(session, self._settings.namespace)
            targets = await self._note_told(session, now, targets)
        orders = {}
        for target in targets:
            wish = wanted(target.hosting, now, self._limits)
            if wish is not None:
                orders[target.hosting.triton_model] = Order(
                    wish, target.artifact, target.manifest, target.hosting.generation
                )
        for replica in self._replicas:
            replica.obey(orders)
        for target in targets:
            if not await self._advance(target, now):
                await self._scale(target)
        serving = {target.hosting.id for target in targets if target.hosting.observed is Observed.SERVING}
        self._autoscaler.keep(serving)
        await self._show(targets)
        await self._measure(now)
        self._gauges.show(targets, self._autoscaler)

    async def _note_told(self, session: AsyncSession, now: datetime, targets: Sequence[Target]) -> list[Target]:
        """The targets, with what is known of those that drain: since when the end of each is on Kafka."""
        draining = {target.hosting.id for target in targets if target.hosting.observed is Observed.DRAINING}
        told = {version: at for version, at in self._told.items() if version in draining}
        if draining - told.keys() and await repository.published(session):
            told = dict.fromkeys(draining, now) | told
        self._told = told
        return [
            replace(target, hosting=replace(target.hosting, told_at=told.get(target.hosting.id))) for target in targets
        ]

    async def _advance(self, target: Target, now: datetime) -> bool:
        """Write the change that is due; False when none is."""
        hosting = target.hosting
        change = advance(hosting, self._reports(hosting), now, self._limits)
        if change is None:
            return False
        async with self._leadership.transaction() as session:
            if not await repository.record(session, target, change):
                return True
            await announcements.refresh_project(session, target.project_id)
        # What follows from the change need not wait.
        self._wake.set()
        log.info(
            "hosting changed",
            model=hosting.triton_model,
            before=hosting.observed.value,
            after=change.observed.value,
            units=change.in_service_units,
            reason=change.reason,
        )
        return True

    async def _scale(self, target: Target) -> None:
        """Write how many units a serving version should have, where that is another number than before."""
        hosting = target.hosting
        if hosting.desired is not Desired.HOSTED or hosting.observed is not Observed.SERVING:
            return
        readings = {
            replica.triton.address: reading
            for replica in self._replicas
            if (reading := replica.reading(hosting.triton_model)) is not None
        }
        units = self._autoscaler.review(hosting, self._reports(hosting), readings, time.monotonic())
        if units == hosting.units:
            return
        async with self._leadership.transaction() as session:
            if not await repository.scale(session, target, units):
                return
        self._wake.set()
        self._gauges.scaled(target, units)
        log.info("units changed", model=hosting.triton_model, before=hosting.units, after=units)

    def _reports(self, hosting: Hosting) -> list[ReplicaReport]:
        return [replica.report(hosting.triton_model) for replica in self._replicas]

    async def _show(self, targets: Sequence[Target]) -> None:
        """Keep for people to see how each Triton has each version, where that changed."""
        reports = {
            (target.hosting.id, replica.triton.address): replica.report(target.hosting.triton_model)
            for target in targets
            for replica in self._replicas
        }
        if reports == self._shown:
            return
        async with self._leadership.transaction() as session:
            # A version may have been deleted since it was read: then there is nothing to keep for it.
            there = await repository.existing(session, {version for version, _ in reports})
            changed = {
                key: report for key, report in reports.items() if key[0] in there and self._shown.get(key) != report
            }
            await repository.keep_sightings(session, changed, await repository.seen(session) - reports.keys())
        self._shown = reports

    async def _measure(self, now: datetime) -> None:
        """Once a minute; a minute in which nobody leads has no measurement."""
        minute = now.replace(second=0, microsecond=0)
        if minute == self._measured:
            return
        async with self._leadership.transaction() as session:
            await usage.measure(session, minute, self._most_waiting)
        self._measured = minute

    async def _lead(self, stopping: asyncio.Event) -> bool:
        """Become the leader; False while another is. Transient when the database stays away."""
        budget = Budget(OUTAGE_SECONDS)
        while True:
            try:
                return await self._leadership.acquire()
            except Exception as error:
                if not transient(error):
                    raise
                if not await budget.pause(stopping) or stopping.is_set():
                    raise Transient(f"Postgres does not answer: {type(error).__name__}") from error

    async def _return(self, stopping: asyncio.Event) -> bool:
        """Lead again after the connection was lost; False when the process should end instead.

        Meanwhile what a Triton lost is still brought back, but nothing is unloaded: another process may lead by now.
        """
        for replica in self._replicas:
            replica.frozen = True
        try:
            if await self._lead(stopping):
                return True
        except Transient:
            if stopping.is_set():
                return False
            raise
        raise Transient("another hosting process leads now")


async def _pause(stopping: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stopping.wait()
