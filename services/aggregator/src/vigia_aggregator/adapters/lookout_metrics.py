"""What Prometheus sees of the Lookout metrics: the same numbers that CloudWatch clients get, under names of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from vigia_aggregator.adapters.tables import SCHEMA
from vigia_aggregator.domain import metrics

#: A measurement older than this says nothing of now.
_RECENT: Final = timedelta(minutes=3)
_PLACE: Final = ("account", "project", "model_version")
_TOTALS: Final = text(
    "select account_id, project, model_version, metric, sum(samples)::bigint, sum(sum) "  # noqa: S608 - constants only
    f"from {SCHEMA}.samples where resolution = 'total' group by 1, 2, 3, 4"
)
_UNITS: Final = text(
    "select distinct on (account_id, region, project, model_version, metric) "  # noqa: S608 - constants only
    f"account_id, project, model_version, metric, sum from {SCHEMA}.samples "
    "where resolution = 'minute' and last_at >= :since and metric = any(:metrics) "
    "order by account_id, region, project, model_version, metric, bucket desc"
)
_KINDS: Final = {
    metrics.Metric.MIN_UNITS: "min",
    metrics.Metric.MAX_UNITS: "max",
    metrics.Metric.DESIRED_UNITS: "desired",
    metrics.Metric.IN_SERVICE_UNITS: "in_service",
}

#: Account, project and model version; the latter two are "" for calls that name none.
Place = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Lookout:
    """All samples ever counted, as (number, sum) by place and metric, and the units last measured."""

    totals: Mapping[Place, Mapping[str, tuple[int, float]]] = field(default_factory=dict)
    units: Sequence[tuple[Place, str, float]] = ()


async def read(connection: AsyncConnection) -> Lookout:
    """The totals and units as they stand."""
    totals: dict[Place, dict[str, tuple[int, float]]] = {}
    for account, project, version, metric, count, total in await connection.execute(_TOTALS):
        totals.setdefault((account, project, version), {})[metric] = (int(count), float(total))
    recent = {"since": datetime.now(UTC) - _RECENT, "metrics": [metric.value for metric in _KINDS]}
    units = [
        ((account, project, version), _KINDS[metrics.Metric(metric)], float(value))
        for account, project, version, metric, value in await connection.execute(_UNITS, recent)
    ]
    return Lookout(totals, units)


def families(lookout: Lookout) -> list[Metric]:
    """The metrics that are exposed."""
    calls = CounterMetricFamily(
        "vigia_lookout_requests",
        "Calls of Lookout operations by what became of them: success, error, throttled.",
        labels=[*_PLACE, "outcome"],
    )
    images = CounterMetricFamily(
        "vigia_lookout_images",
        "Images of DetectAnomalies: processed by a model, or invalid.",
        labels=[*_PLACE, "outcome"],
    )
    anomalies = CounterMetricFamily(
        "vigia_lookout_anomalies", "Images of DetectAnomalies that were found anomalous.", labels=[*_PLACE]
    )
    seconds = SummaryMetricFamily(
        "vigia_lookout_detection_seconds", "Time of DetectAnomalies, request to answer.", labels=[*_PLACE]
    )
    units = GaugeMetricFamily(
        "vigia_lookout_inference_units",
        "Inference units of hosted versions, last measured: min, max, desired, in_service.",
        labels=[*_PLACE, "kind"],
    )
    for place, held in lookout.totals.items():
        sums = {metric: total for metric, (_, total) in held.items()}
        if metrics.Metric.SUCCESSFUL_REQUESTS in held:
            throttled = sums.get(metrics.Metric.THROTTLED, 0.0)
            calls.add_metric([*place, "success"], sums[metrics.Metric.SUCCESSFUL_REQUESTS])
            calls.add_metric([*place, "error"], sums.get(metrics.Metric.ERRORS, 0.0) - throttled)
            calls.add_metric([*place, "throttled"], throttled)
        if metrics.Metric.PROCESSED_IMAGES in held:
            images.add_metric([*place, "processed"], sums[metrics.Metric.PROCESSED_IMAGES])
            images.add_metric([*place, "invalid"], sums.get(metrics.Metric.INVALID_IMAGES, 0.0))
            anomalies.add_metric(place, sums.get(metrics.Metric.DETECTED_ANOMALIES, 0.0))
        if metrics.Metric.TIME in held:
            count, total = held[metrics.Metric.TIME]
            seconds.add_metric(place, count_value=count, sum_value=total / 1000)
    for place, kind, value in lookout.units:
        units.add_metric([*place, kind], value)
    return [calls, images, anomalies, seconds, units]
