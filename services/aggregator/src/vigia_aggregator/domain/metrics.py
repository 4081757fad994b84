"""The metrics of CloudWatch's namespaces: which there are, what a sample of each is, how long they are kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from vigia_contracts.audit import CUSTOM_LABELS, LOOKOUT, Call, CallOutcome
from vigia_contracts.usage import UnitsMeasured


class Metric(StrEnum):
    """Named as CloudWatch names them."""

    DETECTED_ANOMALIES = "DetectedAnomalyCount"
    PROCESSED_IMAGES = "ProcessedImageCount"
    INVALID_IMAGES = "InvalidImageCount"
    SUCCESSFUL_REQUESTS = "SuccessfulRequestCount"
    ERRORS = "ErrorCount"
    USER_ERRORS = "UserErrorCount"
    SERVER_ERRORS = "ServerErrorCount"
    THROTTLED = "ThrottledCount"
    TIME = "Time"
    RESPONSE_TIME = "ResponseTime"
    MIN_UNITS = "MinInferenceUnits"
    MAX_UNITS = "MaxInferenceUnits"
    DESIRED_UNITS = "DesiredInferenceUnits"
    IN_SERVICE_UNITS = "InServiceInferenceUnits"

    @property
    def unit(self) -> str:
        """Its unit, as CloudWatch writes it."""
        return "Milliseconds" if self in (Metric.TIME, Metric.RESPONSE_TIME) else "Count"


#: Measured by the minute rather than counted by the call: over a project's versions they add up at every moment.
UNITS: Final = (Metric.MIN_UNITS, Metric.MAX_UNITS, Metric.DESIRED_UNITS, Metric.IN_SERVICE_UNITS)


@dataclass(frozen=True, slots=True)
class Place:
    """What a sample is of: a service, by its name in ARNs, and "" for what it is not by."""

    service: str
    project: str = ""
    model_version: str = ""
    operation: str = ""


@dataclass(frozen=True, slots=True)
class Namespace:
    """The metrics of one service. ``dimensions``: their names in CloudWatch and the field of ``Place`` that each is;
    ``sets``: those that may be given together."""

    name: str
    service: str
    metrics: frozenset[Metric]
    dimensions: Mapping[str, str]
    sets: frozenset[frozenset[str]]


LOOKOUT_METRICS: Final = Namespace(
    name="AWS/LookoutVision",
    service="lookoutvision",
    metrics=frozenset(
        {
            Metric.DETECTED_ANOMALIES,
            Metric.PROCESSED_IMAGES,
            Metric.INVALID_IMAGES,
            Metric.SUCCESSFUL_REQUESTS,
            Metric.ERRORS,
            Metric.THROTTLED,
            Metric.TIME,
            *UNITS,
        }
    ),
    dimensions={"ProjectName": "project", "ModelVersion": "model_version"},
    sets=frozenset({frozenset(), frozenset({"ProjectName"}), frozenset({"ProjectName", "ModelVersion"})}),
)
REKOGNITION_METRICS: Final = Namespace(
    name="AWS/Rekognition",
    service="rekognition",
    metrics=frozenset(
        {
            Metric.SUCCESSFUL_REQUESTS,
            Metric.USER_ERRORS,
            Metric.SERVER_ERRORS,
            Metric.THROTTLED,
            Metric.RESPONSE_TIME,
            *UNITS,
        }
    ),
    dimensions={"ProjectName": "project", "VersionName": "model_version", "Operation": "operation"},
    sets=frozenset({frozenset(), frozenset({"Operation"}), frozenset({"ProjectName", "VersionName"})}),
)
NAMESPACES: Final = (LOOKOUT_METRICS, REKOGNITION_METRICS)


class Resolution(StrEnum):
    """How much time one row of samples covers."""

    MINUTE = "minute"
    FIVE_MINUTES = "five_minutes"
    HOUR = "hour"


SECONDS: Final = {Resolution.MINUTE: 60, Resolution.FIVE_MINUTES: 300, Resolution.HOUR: 3600}
#: How long CloudWatch keeps each: 15 days, 63 days, 15 months.
KEPT: Final = {
    Resolution.MINUTE: timedelta(days=15),
    Resolution.FIVE_MINUTES: timedelta(days=63),
    Resolution.HOUR: timedelta(days=455),
}
_EARLIEST: Final = int(datetime.min.replace(tzinfo=UTC).timestamp())
#: The row that never ends; see ``tables.samples``.
TOTAL: Final = "total"


def place_of_call(call: Call) -> Place:
    """What the samples of a call are of: in Lookout a project and its version, in Rekognition an operation."""
    if call.record.eventSource == CUSTOM_LABELS:
        return Place(REKOGNITION_METRICS.service, operation=call.record.eventName)
    return Place(LOOKOUT_METRICS.service, call.project or "", call.model_version or "")


def samples_of_call(call: Call) -> Iterator[tuple[Metric, float]]:
    """The samples that a call gives. Calls of Vigia's own API are no API calls of either service.

    A count has a sample of 0 where the thing did not happen and could have: its Sum is the number of times, its Average
    the share of the calls or, of anomalies, of the judged images.
    """
    if call.record.eventSource == LOOKOUT:
        yield from _of_lookout(call)
    elif call.record.eventSource == CUSTOM_LABELS:
        yield from _of_rekognition(call)


def _of_lookout(call: Call) -> Iterator[tuple[Metric, float]]:
    success = call.outcome is CallOutcome.SUCCESS
    yield Metric.SUCCESSFUL_REQUESTS, float(success)
    yield Metric.ERRORS, float(not success)
    yield Metric.THROTTLED, float(call.outcome is CallOutcome.THROTTLED)
    if images := call.images_processed + call.images_invalid:
        yield Metric.PROCESSED_IMAGES, float(call.images_processed)
        yield Metric.INVALID_IMAGES, float(call.images_invalid)
        if call.images_processed:
            yield Metric.DETECTED_ANOMALIES, float(call.anomalies)
        if success and images:
            yield Metric.TIME, call.duration_ms


def _of_rekognition(call: Call) -> Iterator[tuple[Metric, float]]:
    yield Metric.SUCCESSFUL_REQUESTS, float(call.outcome is CallOutcome.SUCCESS)
    yield Metric.USER_ERRORS, float(call.outcome is CallOutcome.CLIENT_ERROR)
    yield Metric.SERVER_ERRORS, float(call.outcome is CallOutcome.SERVER_ERROR)
    yield Metric.THROTTLED, float(call.outcome is CallOutcome.THROTTLED)
    if call.outcome is CallOutcome.SUCCESS:
        yield Metric.RESPONSE_TIME, call.duration_ms


def place_of_units(measured: UnitsMeasured) -> Place:
    """What a measurement is of; the model's ARN says whose version it is."""
    return Place(measured.model_arn.split(":")[2], measured.project, measured.model_version)


def samples_of_units(measured: UnitsMeasured) -> Iterator[tuple[Metric, float]]:
    """The samples of one minute of one hosted version."""
    yield Metric.MIN_UNITS, float(measured.min_units)
    if measured.max_units is not None:
        yield Metric.MAX_UNITS, float(measured.max_units)
    yield Metric.DESIRED_UNITS, float(measured.desired_units)
    yield Metric.IN_SERVICE_UNITS, float(measured.in_service_units)


def rounded(start: datetime, now: datetime) -> datetime:
    """Where a range begins that is asked to begin at ``start``: CloudWatch rounds down to a whole minute, before 15
    days ago to five minutes, before 63 days ago to an hour, which is what it still has."""
    age = now - start
    step = SECONDS[Resolution.MINUTE]
    if age > KEPT[Resolution.FIVE_MINUTES]:
        step = SECONDS[Resolution.HOUR]
    elif age > KEPT[Resolution.MINUTE]:
        step = SECONDS[Resolution.FIVE_MINUTES]
    return floor(start, step)


def floor(moment: datetime, seconds: int) -> datetime:
    """The last multiple of ``seconds`` since 1970 that is not after ``moment``; at the earliest the first year."""
    return datetime.fromtimestamp(max(_EARLIEST, int(moment.timestamp()) // seconds * seconds), UTC)


def resolution_for(start: datetime, period: int) -> Resolution:
    """The coarsest rows that periods of so many seconds from ``start`` on can be put together from."""
    begins = int(start.timestamp())
    for resolution in (Resolution.HOUR, Resolution.FIVE_MINUTES):
        length = SECONDS[resolution]
        if period % length == 0 and begins % length == 0:
            return resolution
    return Resolution.MINUTE
