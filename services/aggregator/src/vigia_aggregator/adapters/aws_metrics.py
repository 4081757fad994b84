"""What Prometheus sees of the metrics of both services: the same numbers that CloudWatch clients get, under names of
ours."""

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
from vigia_aggregator.domain.metrics import LOOKOUT_METRICS, REKOGNITION_METRICS

#: A measurement older than this says nothing of now.
_RECENT: Final = timedelta(minutes=3)
_PLACE: Final = ("account", "project", "model_version")
_OPERATION: Final = ("account", "operation")
_TOTALS: Final = text(
    "select service, account_id, project, model_version, operation, metric, "  # noqa: S608 - constants only
    f"sum(samples)::bigint, sum(sum) from {SCHEMA}.samples where resolution = 'total' group by 1, 2, 3, 4, 5, 6"
)
_UNITS: Final = text(
    "select distinct on (account_id, region, service, project, model_version, metric) "  # noqa: S608 - constants only
    f"service, account_id, project, model_version, metric, sum from {SCHEMA}.samples "
    "where resolution = 'minute' and last_at >= :since and metric = any(:metrics) "
    "order by account_id, region, service, project, model_version, metric, bucket desc"
)
_KINDS: Final = {
    metrics.Metric.MIN_UNITS: "min",
    metrics.Metric.MAX_UNITS: "max",
    metrics.Metric.DESIRED_UNITS: "desired",
    metrics.Metric.IN_SERVICE_UNITS: "in_service",
}

#: Of Lookout account, project and model version, the latter two "" for calls that name none; of Custom Labels account
#: and operation.
Place = tuple[str, ...]
Totals = Mapping[Place, Mapping[str, tuple[int, float]]]


@dataclass(frozen=True, slots=True)
class Services:
    """All samples ever counted, as (number, sum) by place and metric, and the units last measured, by service."""

    lookout: Totals = field(default_factory=dict)
    customlabels: Totals = field(default_factory=dict)
    units: Sequence[tuple[str, Place, str, float]] = ()


async def read(connection: AsyncConnection) -> Services:
    """The totals and units as they stand."""
    totals: dict[str, dict[Place, dict[str, tuple[int, float]]]] = {}
    for service, account, project, version, operation, metric, count, total in await connection.execute(_TOTALS):
        place = (account, operation) if service == REKOGNITION_METRICS.service else (account, project, version)
        totals.setdefault(service, {}).setdefault(place, {})[metric] = (int(count), float(total))
    recent = {"since": datetime.now(UTC) - _RECENT, "metrics": [metric.value for metric in _KINDS]}
    units = [
        (service, (account, project, version), _KINDS[metrics.Metric(metric)], float(value))
        for service, account, project, version, metric, value in await connection.execute(_UNITS, recent)
    ]
    return Services(totals.get(LOOKOUT_METRICS.service, {}), totals.get(REKOGNITION_METRICS.service, {}), units)


def families(services: Services) -> list[Metric]:
    """The metrics that are exposed."""
    lookout = _units("vigia_lookout_inference_units", services, LOOKOUT_METRICS.service)
    customlabels = _units("vigia_customlabels_inference_units", services, REKOGNITION_METRICS.service)
    return [*_lookout(services.lookout), lookout, *_customlabels(services.customlabels), customlabels]


def _lookout(totals: Totals) -> list[Metric]:
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
    for place, held in totals.items():
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
        _time(seconds, place, held.get(metrics.Metric.TIME))
    return [calls, images, anomalies, seconds]


def _customlabels(totals: Totals) -> list[Metric]:
    outcomes = {
        "success": metrics.Metric.SUCCESSFUL_REQUESTS,
        "user_error": metrics.Metric.USER_ERRORS,
        "server_error": metrics.Metric.SERVER_ERRORS,
        "throttled": metrics.Metric.THROTTLED,
    }
    calls = CounterMetricFamily(
        "vigia_customlabels_requests",
        f"Calls of Custom Labels operations by what became of them: {', '.join(outcomes)}.",
        labels=[*_OPERATION, "outcome"],
    )
    seconds = SummaryMetricFamily(
        "vigia_customlabels_request_seconds", "Time of calls that succeeded, request to answer.", labels=[*_OPERATION]
    )
    for place, held in totals.items():
        if place[1] == "":  # units, which have a family of their own
            continue
        for outcome, metric in outcomes.items():
            calls.add_metric([*place, outcome], held.get(metric, (0, 0.0))[1])
        _time(seconds, place, held.get(metrics.Metric.RESPONSE_TIME))
    return [calls, seconds]


def _time(family: SummaryMetricFamily, place: Place, milliseconds: tuple[int, float] | None) -> None:
    if milliseconds is not None:
        family.add_metric(place, count_value=milliseconds[0], sum_value=milliseconds[1] / 1000)


def _units(name: str, services: Services, service: str) -> Metric:
    family = GaugeMetricFamily(
        name,
        "Inference units of hosted versions, last measured: min, max, desired, in_service.",
        labels=[*_PLACE, "kind"],
    )
    for of, place, kind, value in services.units:
        if of == service:
            family.add_metric([*place, kind], value)
    return family
