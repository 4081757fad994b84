"""One Triton's loop: look, plan, act, and know at any time what can be said about each version there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from vigia_contracts.base import ObjectRef
from vigia_registry.hosting.artifacts import UnusableArtifact, fetch, golden_samples
from vigia_registry.hosting.domain import in_namespace
from vigia_registry.hosting.parity import mismatch
from vigia_registry.hosting.replica_plan import Do, Found, Health, Step, Wanted, plan
from vigia_registry.hosting.scaling import Reading, Tally
from vigia_registry.hosting.settings import HostingSettings, ServingSettings
from vigia_registry.hosting.triton import ModelBusy, ModelError, Triton
from vigia_registry.hosting.triton_config import model_config, model_files
from vigia_registry.hosting.versions import ReplicaReport, Report
from vigia_runtime import metrics
from vigia_runtime.errors import Transient
from vigia_runtime.health import Heartbeat
from vigia_runtime.logging import get_logger
from vigia_runtime.objects import ObjectStore
from vigia_vision import Artifact, GoldenSample, Manifest

log = get_logger(__name__)

POLL_SECONDS = 0.3
PROBE_TIMEOUT_SECONDS = 5.0
#: Golden inferences in a row that found the queue full or got no answer, while nobody else got one either.
_SILENT_PROBES = 3
#: Every so many probes, all units of a model are asked at the same time: a dead one is otherwise found only by traffic.
_ROLL_CALL = 10
#: Probes in a row between which requests failed, though the probes were answered: then a unit is dead. A request that
#: it gets takes a second to fail, and meanwhile no probe gets to it.
_PATIENCE, _LONGEST_PATIENCE = 2, 64
#: Seconds for an answer that shows that the model is not overloaded: else requests may fail for that.
_AT_EASE = 1.0
_LONGEST_PAUSE = 30.0
#: Orders older than this may be out of date: who gave them has not heard of the database since. Less than the time
#: after which the database lets another process lead (``leadership``).
STALE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Order:
    """One version that this Triton should hold. ``manifest`` is the one that is announced with it.

    A new ``generation`` starts the count of failed attempts anew.
    """

    wanted: Wanted
    artifact: ObjectRef
    manifest: Mapping[str, object]
    generation: int


@dataclass(slots=True)
class _Held:
    """A loaded model, what it had counted at ``tally_at``, and what its golden inferences said.

    ``renewal`` as in its configuration. ``answered``: inferences it had answered when it was last seen to be alive;
    ``failed``: those that it had failed at the last probe; ``suspect``: probes in a row since which some failed, and
    ``patience`` how many make it dead. ``refused``: golden inferences that found it too busy.
    """

    units: int
    load: int
    renewal: int = 0
    patience: int = _PATIENCE
    tally: Tally = field(default_factory=Tally)
    tally_at: float = 0.0
    answered: int = 0
    failed: int | None = None
    suspect: int = 0
    health: Health = Health.UNKNOWN
    probes: int = 0
    probe_at: float = 0.0
    silent: int = 0
    refused: int = 0


@dataclass(slots=True)
class _Attempts:
    """``renewed``: since the model last answered it was loaded over itself to repair it."""

    generation: int
    failed: int = 0
    renewed: bool = False
    not_before: float = 0.0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Golden:
    manifest: Manifest
    samples: tuple[GoldenSample, ...]


@dataclass(slots=True)
class Replica:
    """A Triton and what it should hold.

    ``orders`` None: not known yet, nothing is touched. ``frozen``: orders may be out of date, as those are that are
    old, so nothing is unloaded for good or resized; what was lost is still brought back. ``wake`` says that there is
    something new, ``changed`` is set when a step was done.
    """

    triton: Triton
    objects: ObjectStore
    loading: asyncio.Semaphore
    hosting: HostingSettings
    serving: ServingSettings
    orders: Mapping[str, Order] | None = None
    frozen: bool = False
    ordered_at: float = 0.0
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    _held: dict[str, _Held] = field(default_factory=dict)
    _attempts: dict[str, _Attempts] = field(default_factory=dict)
    _golden: dict[str, _Golden] = field(default_factory=dict)
    _seen: bool = False
    _acting: bool = False
    _loads: int = 0
    _answered_at: float = field(default_factory=time.monotonic)

    @property
    def lost(self) -> bool:
        """Whether the server has been silent for so long that nobody should wait for it.

        A load may take longer than that; it has a limit of its own.
        """
        return not self._acting and time.monotonic() - self._answered_at > self.hosting.lost_seconds

    @property
    def outdated(self) -> bool:
        """Whether another process may be giving orders by now."""
        return self.frozen or time.monotonic() - self.ordered_at > STALE_SECONDS

    def obey(self, orders: Mapping[str, Order]) -> None:
        """These are the orders now, of who leads."""
        if self.orders != orders:
            self.wake.set()
        self.orders, self.frozen, self.ordered_at = orders, False, time.monotonic()

    async def probe(self) -> None:
        """Readiness: the server answers."""
        await self.triton.loaded()

    async def run(self, stopping: asyncio.Event, beat: Heartbeat) -> None:
        """Until ``stopping``; a server that is away is waited for. ``beat`` ticks once a round."""
        while not stopping.is_set():
            beat.tick()
            try:
                again = await self.round()
                self._answered_at = time.monotonic()
            except Transient as error:
                if self._held:
                    log.warning("triton does not answer", triton=self.triton.address, detail=error.detail)
                self._held.clear()
                again = False
            if not again:
                await nap(self.wake, POLL_SECONDS)

    def report(self, name: str) -> ReplicaReport:
        """What can be said about the version of this Triton name, here and now."""
        held, attempts = self._held.get(name), self._attempts.get(name)
        order = (self.orders or {}).get(name)
        reason = attempts.reason if attempts is not None else ""
        if self.lost:
            report, reason = Report.LOST, "does not answer"
        elif not self._seen:
            report = Report.PENDING
        elif order is not None and attempts is not None and attempts.failed >= self.hosting.attempts:
            report = Report.FAILED
        elif held is None:
            report = Report.GONE
        elif held.health in (Health.GOOD, Health.DUE) and order is not None and held.units == order.wanted.units:
            report = Report.READY
        else:
            report = Report.PENDING
        return ReplicaReport(self.triton.address, report, reason, self._units(held))

    def reading(self, name: str) -> Reading | None:
        """What this Triton has counted for the version; None while it does not have it."""
        held = self._held.get(name)
        return None if held is None else Reading(held.load, held.tally_at, held.tally, held.refused)

    def _units(self, held: _Held | None) -> int | None:
        if self.lost:
            return 0
        if held is None:
            return 0 if self._seen else None
        match held.health:
            case Health.UNKNOWN:
                return None
            case Health.BAD:
                return held.units - 1  # one did not answer right; of the others nothing else is known
            case _:
                return held.units

    async def round(self) -> bool:
        """Look and act once; True when something was done and it is worth looking again at once."""
        await self._look()
        if self.orders is None:
            return False
        orders = dict(self.orders)
        self._forget(orders)
        now = time.monotonic()
        waiting = {name for name, attempts in self._attempts.items() if attempts.not_before > now}
        found = {name: Found(held.units, _health(held, now)) for name, held in self._held.items()}
        steps = plan({name: order.wanted for name, order in orders.items()}, found, waiting)
        for step in steps:
            if self.outdated and step.do in (Do.UNLOAD, Do.RESIZE):
                continue
            await self._do(step, orders.get(step.name))
            self._answered_at = time.monotonic()
            self.changed.set()
            if step.do is not Do.CHECK:
                return True  # it took a while: the plan may be another one now
        return False

    async def _look(self) -> None:
        """What is loaded now; a model that is gone is forgotten, one that nobody knew is asked for its units."""
        loaded = {
            name: tally
            for name, tally in (await self.triton.loaded()).items()
            if in_namespace(self.hosting.namespace, name)
        }
        now = time.monotonic()
        for name in self._held.keys() - loaded.keys():
            log.warning("model is gone from triton", triton=self.triton.address, model=name)
            del self._held[name]
        for name, tally in loaded.items():
            held = self._held.get(name)
            if held is None:
                try:
                    units, renewal = await self.triton.instances(name)
                except ModelError:
                    continue  # unloaded since
                held = self._hold(name, units, renewal)
                held.answered = tally.answered
            held.tally, held.tally_at = tally, now
        self._seen = True

    def _hold(self, name: str, units: int, renewal: int = 0) -> _Held:
        self._loads += 1
        self._held[name] = _Held(units, self._loads, renewal)
        return self._held[name]

    def _forget(self, orders: Mapping[str, Order]) -> None:
        for name in self._golden.keys() - orders.keys():
            del self._golden[name]
        for name, attempts in list(self._attempts.items()):
            order = orders.get(name)
            if order is None or order.generation != attempts.generation:
                del self._attempts[name]

    async def _do(self, step: Step, order: Order | None) -> None:
        name = step.name
        self._acting = True
        try:
            match step.do:
                case Do.UNLOAD:
                    await self._unload(name)
                case Do.CHECK if order is not None:
                    await self._check(name, order)
                case Do.REPAIR if order is not None:
                    log.warning("model does not answer, loading it anew", triton=self.triton.address, model=name)
                    await self._load(name, order, repair=True)
                case _ if order is not None:
                    await self._load(name, order)
        except (ModelError, UnusableArtifact) as error:
            self._failed(step, order, str(error).strip(), final=isinstance(error, UnusableArtifact))
        except (ModelBusy, Transient) as error:
            # Nothing is wrong with the version: not counted, tried again soon.
            log.info("step put off", step=step.do.value, triton=self.triton.address, model=name, detail=str(error))
            if order is not None:
                self._attempt(name, order, str(error)).not_before = time.monotonic() + 1.0
            await self.triton.loaded()
        finally:
            self._acting = False

    async def _load(self, name: str, order: Order, *, repair: bool = False) -> None:
        """Load and check. Over a model that is there it takes its place, and requests go on being answered.

        ``repair``: where that has not helped, the model is unloaded first, once everything is at hand.
        """
        units, attempts, before = order.wanted.units, self._attempts.get(name), self._held.get(name)
        anew = attempts is not None and attempts.renewed
        renewal = before.renewal + 1 if repair and before is not None and not anew else 0
        async with self.loading:
            began = time.monotonic()
            artifact = await self._fetch(order)
            golden = await self._remember(name, artifact)
            config = model_config(name, artifact.manifest, units, self.serving, renewal)
            files = model_files(artifact, {sample.file: sample for sample in golden.samples})
            if repair and anew:
                await self._unload(name)
            await self.triton.load(name, config, files, self.hosting.load_seconds)
        seconds = time.monotonic() - began
        metrics.HOSTING_SECONDS.labels("load").observe(seconds)
        log.info("model loaded", triton=self.triton.address, model=name, units=units, seconds=round(seconds, 3))
        held = self._hold(name, units, renewal)
        if repair and before is not None:
            held.patience = min(_LONGEST_PATIENCE, 2 * before.patience)
            if attempts is not None:
                attempts.renewed = True
        await self._check(name, order)

    async def _unload(self, name: str) -> None:
        began = time.monotonic()
        await self.triton.unload(name, self.hosting.load_seconds)
        self._held.pop(name, None)
        metrics.HOSTING_SECONDS.labels("unload").observe(time.monotonic() - began)
        log.info("model unloaded", triton=self.triton.address, model=name)

    async def _check(self, name: str, order: Order) -> None:
        """Ask golden samples and note the model's health; UnusableArtifact when an answer is another one.

        All of them and every unit before the model serves. Afterwards one at a time, by turns, because frames wait
        meanwhile; and every unit only now and then, or when requests have failed.
        """
        held = self._held[name]
        golden = self._golden.get(name) or await self._remember(name, await self._fetch(order))
        began = time.monotonic()
        proven = _health(held, began) is Health.DUE
        turn = held.probes % len(golden.samples)
        failing = held.failed is not None and held.tally.failed > held.failed
        everyone = not proven or failing or held.probes % _ROLL_CALL == 0
        try:
            for sample in golden.samples[turn : turn + 1] if proven else golden.samples:
                outputs = await self.triton.infer(name, golden.manifest, sample.tensor, PROBE_TIMEOUT_SECONDS)
                if wrong := mismatch(sample, outputs, golden.manifest, self.serving.parity):
                    held.health = Health.BAD
                    raise UnusableArtifact(f"golden sample answered wrong: {wrong}")
            at_ease = time.monotonic() - began < _AT_EASE
            if held.units > 1 and everyone:
                await self._call_roll(name, held, golden)
            _suspect(held, failing=failing and at_ease)
        except ModelBusy:
            held.refused += 1
            await self._silence(name, held)
            return
        except ModelError:
            held.health = Health.BAD
            raise
        metrics.HOSTING_SECONDS.labels("golden").observe(time.monotonic() - began)
        held.health, held.silent, held.probes = Health.GOOD, 0, held.probes + 1
        held.probe_at = time.monotonic() + self.hosting.probe_seconds
        attempts = self._attempts.get(name)
        if attempts is not None:
            attempts.failed, attempts.renewed, attempts.reason = 0, False, ""

    async def _call_roll(self, name: str, held: _Held, golden: _Golden) -> None:
        """Ask all units at the same time; ModelError when one is found dead. Who has no time is not missed."""
        sample = golden.samples[0]
        # More than half of what one run takes: no two of these requests share a run, and so a unit.
        copies = self.serving.max_batch_size // 2 + 1
        asked = (
            self.triton.infer(name, golden.manifest, sample.tensor, PROBE_TIMEOUT_SECONDS, copies)
            for _ in range(held.units)
        )
        answers = await asyncio.gather(*asked, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, ModelBusy):
                raise answer

    async def _silence(self, name: str, held: _Held) -> None:
        """No answer came in time or the queue was full: who answers others is busy, who answers nobody is dead."""
        answered = (await self.triton.loaded()).get(name, Tally()).answered
        held.silent = 0 if answered > held.answered else held.silent + 1
        held.answered = answered
        if held.silent >= _SILENT_PROBES:
            held.health = Health.BAD
        held.probe_at = time.monotonic() + POLL_SECONDS

    async def _fetch(self, order: Order) -> Artifact:
        artifact = await fetch(self.objects, order.artifact)
        try:
            same = Manifest.model_validate(order.manifest) == artifact.manifest
        except ValueError as error:
            raise UnusableArtifact(f"what training reported is no manifest: {error}") from error
        if not same:
            raise UnusableArtifact("the artifact's manifest is not the one that training reported")
        return artifact

    async def _remember(self, name: str, artifact: Artifact) -> _Golden:
        self._golden[name] = _Golden(artifact.manifest, await golden_samples(artifact))
        return self._golden[name]

    def _failed(self, step: Step, order: Order | None, reason: str, *, final: bool) -> None:
        metrics.HOSTING_FAILURES.labels(step.do.value, "final" if final else "refused").inc()
        log.warning(
            "hosting step failed", step=step.do.value, triton=self.triton.address, model=step.name, reason=reason
        )
        if order is None:
            return
        attempts = self._attempt(step.name, order, reason)
        attempts.failed = max(attempts.failed + 1, self.hosting.attempts if final else 0)
        if step.do is not Do.CHECK:
            # A check that failed is followed by a repair at once; only what was tried in vain is waited for.
            attempts.not_before = time.monotonic() + pause_after(attempts.failed)

    def _attempt(self, name: str, order: Order, reason: str) -> _Attempts:
        attempts = self._attempts.setdefault(name, _Attempts(order.generation))
        attempts.reason = reason
        return attempts


def pause_after(failed: int) -> float:
    """Seconds until the next attempt after so many in vain, of which there may be many: a version that serves and
    whose artifact is gone is tried for ever."""
    return min(_LONGEST_PAUSE, 0.5 * 2.0 ** min(failed, 10))


def _suspect(held: _Held, *, failing: bool) -> None:
    """Note whether requests failed between two probes that were answered; ModelError when that went on for too long."""
    if held.tally_at:  # otherwise what is counted before anybody looked is not known yet
        held.failed = held.tally.failed
    held.suspect = held.suspect + 1 if failing else 0
    if held.suspect >= held.patience:
        raise ModelError("requests fail, though its golden samples are answered")
    if not failing and held.probes:
        held.patience = _PATIENCE


def _health(held: _Held, now: float) -> Health:
    return Health.DUE if held.health is Health.GOOD and now >= held.probe_at else held.health


async def nap(wake: asyncio.Event, seconds: float) -> None:
    """Until ``wake`` is set, at most ``seconds``; it is not set afterwards."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await wake.wait()
    wake.clear()
