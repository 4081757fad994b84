"""What Prometheus sees of the rollups: counters that survive restarts and equal the number of rows ever stored.

Every worker runs one of these, and one of them holds an advisory lock and exposes: sums over all workers are right
however many there are, and another takes over when the holder goes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from vigia_aggregator.adapters import aws_metrics
from vigia_aggregator.adapters.aws_metrics import Services, families
from vigia_aggregator.adapters.tables import SCHEMA
from vigia_aggregator.domain.buckets import LATENCY_BOUNDS, defect_rate
from vigia_contracts.inspections import Verdict
from vigia_runtime.logging import get_logger

log = get_logger(__name__)

_TAKE: Final = text("select pg_try_advisory_lock(129910837412100)")
_TOTALS: Final = text(
    "select line_id, camera_id, verdict, inspections, latency_sum, latency_counts, last_captured_at "  # noqa: S608
    f"from {SCHEMA}.rollups where resolution = 'total' and not shadow"
)
_ENABLED: Final = text(f"select camera_id from {SCHEMA}.cameras where enabled")  # noqa: S608 - constants only
_LAST_HOUR: Final = text(
    "select line_id, camera_id, verdict, sum(inspections)::bigint "  # noqa: S608 - constants only
    f"from {SCHEMA}.rollups where resolution = 'minute' and not shadow and bucket >= :since "
    "group by line_id, camera_id, verdict"
)


@dataclass(frozen=True, slots=True)
class Total:
    """All that was ever stored of one line, camera and verdict. Latency is capture to decision, seconds."""

    line: str
    camera: str
    verdict: str
    inspections: int
    latency_sum: float
    latency_counts: Sequence[int]
    last_captured_at: datetime

    def plus(self, other: Total) -> Total:
        """Both together; they differ in product, project, model version or cause, which Prometheus does not show."""
        return Total(
            self.line,
            self.camera,
            self.verdict,
            self.inspections + other.inspections,
            self.latency_sum + other.latency_sum,
            [a + b for a, b in zip(self.latency_counts, other.latency_counts, strict=True)],
            max(self.last_captured_at, other.last_captured_at),
        )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is exposed until the next reading. ``rates`` holds the last hour's defect rate by line and camera.

    ``enabled``: cameras that should be sending; the silence of another one means nothing.
    """

    totals: Sequence[Total] = ()
    enabled: frozenset[str] = frozenset()
    rates: dict[tuple[str, str], float] = field(default_factory=dict)
    services: Services = field(default_factory=Services)


class RollupCollector(Collector):
    """Prometheus's view. ``collect`` runs on the side door's thread and touches nothing but the last snapshot."""

    def __init__(self) -> None:
        self.snapshot = Snapshot()

    def collect(self) -> Iterable[Metric]:
        """The families of the present snapshot."""
        now = datetime.now(UTC)
        snapshot = self.snapshot
        counts = CounterMetricFamily(
            "vigia_inspections",
            "Inspections stored, by line, camera and verdict.",
            labels=["line", "camera", "verdict"],
        )
        latency = HistogramMetricFamily(
            "vigia_inspection_latency_seconds", "From capture to decision.", labels=["line", "camera", "verdict"]
        )
        age = GaugeMetricFamily(
            "vigia_camera_last_frame_age_seconds",
            "Age of the newest frame that was inspected, of cameras that are enabled.",
            labels=["line", "camera"],
        )
        rate = GaugeMetricFamily(
            "vigia_defect_rate",
            "REJECT / (PASS + REJECT + REVIEW) of the last hour, 0 to 1.",
            labels=["line", "camera"],
        )
        newest: dict[tuple[str, str], datetime] = {}
        # A counter born with its first event shows no increase: every verdict is there from a camera's first frame.
        told = {(total.line, total.camera, total.verdict) for total in snapshot.totals}
        for line, camera in {(line, camera) for line, camera, _ in told}:
            for verdict in Verdict:
                if (line, camera, verdict.value) not in told:
                    counts.add_metric([line, camera, verdict.value], 0)
        for total in snapshot.totals:
            labels = [total.line, total.camera, total.verdict]
            counts.add_metric(labels, total.inspections)
            latency.add_metric(labels, _cumulative(total.latency_counts), total.latency_sum)
            if total.camera in snapshot.enabled:
                key = (total.line, total.camera)
                newest[key] = max(newest.get(key, total.last_captured_at), total.last_captured_at)
        for key, moment in newest.items():
            age.add_metric(key, max(0.0, (now - moment).total_seconds()))
        for key, value in snapshot.rates.items():
            rate.add_metric(key, value)
        return [counts, latency, age, rate, *families(snapshot.services)]


class Exposition:
    """Reads the rollups every ``every_seconds`` into ``collector``, as long as this worker is the one that exposes."""

    def __init__(self, engine: AsyncEngine, collector: RollupCollector, every_seconds: float = 1.0) -> None:
        self._engine = engine
        self._collector = collector
        self._every = every_seconds

    async def run(self, stopping: asyncio.Event) -> None:
        """Until ``stopping``. While Postgres is away the last snapshot stays; another holder's rise empties it."""
        while not stopping.is_set():
            try:
                await self._hold(stopping)
            except (SQLAlchemyError, OSError) as error:
                log.warning("rollups cannot be read", error=type(error).__name__)
            await _pause(stopping, self._every)
        self._collector.snapshot = Snapshot()

    async def _hold(self, stopping: asyncio.Event) -> None:
        # The lock belongs to this connection: it goes with the connection, however that ends.
        async with self._engine.connect() as connection:
            autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
            if not (await autocommit.execute(_TAKE)).scalar():
                self._collector.snapshot = Snapshot()
                return
            try:
                while not stopping.is_set():
                    self._collector.snapshot = await _read(autocommit)
                    await _pause(stopping, self._every)
            finally:
                await connection.invalidate()


async def _read(connection: AsyncConnection) -> Snapshot:
    totals: dict[tuple[str, str, str], Total] = {}
    for line, camera, verdict, *measured in await connection.execute(_TOTALS):
        key = (line, camera, verdict)
        total = Total(*key, *measured)
        totals[key] = totals[key].plus(total) if key in totals else total
    since = datetime.fromtimestamp(int(datetime.now(UTC).timestamp()) // 60 * 60 - 3600, UTC)
    verdicts: dict[tuple[str, str], dict[str, int]] = {}
    for line, camera, verdict, count in await connection.execute(_LAST_HOUR, {"since": since}):
        verdicts.setdefault((line, camera), {})[verdict] = count
    rates: dict[tuple[str, str], float] = {}
    for place, found in verdicts.items():
        rate = defect_rate(found.get("REJECT", 0), found.get("PASS", 0), found.get("REVIEW", 0))
        if rate is not None:
            rates[place] = rate
    enabled = frozenset(camera for (camera,) in await connection.execute(_ENABLED))
    return Snapshot(list(totals.values()), enabled, rates, await aws_metrics.read(connection))


def _cumulative(counts: Sequence[int]) -> list[tuple[str, float]]:
    buckets: list[tuple[str, float]] = []
    total = 0
    for bound, count in zip([*map(str, LATENCY_BOUNDS), "+Inf"], counts, strict=True):
        total += count
        buckets.append((bound, float(total)))
    return buckets


async def _pause(stopping: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stopping.wait(), seconds)
    except TimeoutError:
        return
