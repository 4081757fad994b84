"""GetMetricData, GetMetricStatistics and ListMetrics, over the samples."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import MAXYEAR, UTC, datetime, timedelta
from typing import Any, Final

from vigia_aggregator.adapters import samples
from vigia_aggregator.adapters.samples import Point, Selection
from vigia_aggregator.domain.expressions import Series
from vigia_aggregator.domain.metrics import NAMESPACES, SECONDS, Metric, Resolution, floor, rounded
from vigia_aggregator.entrypoints.aws import requests
from vigia_aggregator.entrypoints.aws.errors import AwsError, bad_combination, bad_value
from vigia_aggregator.entrypoints.aws.expressions import Expressions
from vigia_aggregator.entrypoints.context import Context

Members = dict[str, Any]

_STATISTICS: Final[Mapping[str, Callable[[Point], float]]] = {
    "SampleCount": lambda point: float(point.samples),
    "Average": lambda point: point.average,
    "Sum": lambda point: point.sum,
    "Minimum": lambda point: point.minimum,
    "Maximum": lambda point: point.maximum,
}
_NAMESPACES: Final = {namespace.name: namespace for namespace in NAMESPACES}
_SERVICES: Final = {namespace.service: namespace for namespace in NAMESPACES}
_DATAPOINTS: Final = 1440
_METRICS: Final = 500
#: A metric is listed for this long after its last sample.
_LISTED: Final = timedelta(days=14)
_LONGEST_PERIOD: Final = 86_400


@dataclass(frozen=True, slots=True)
class Ask:
    """Who asks, over what."""

    context: Context
    account_id: str
    region: str


async def get_metric_statistics(ask: Ask, given: Members) -> Members:
    """One metric's statistics. Periods begin where the range begins."""
    wanted = requests.GetMetricStatistics.model_validate(given)
    _check_period(wanted.Period, bad_value)
    if wanted.StartTime >= wanted.EndTime:
        raise bad_combination("The parameter StartTime must be less than the parameter EndTime.")
    if wanted.ExtendedStatistics:
        raise bad_value("ExtendedStatistics (percentiles) are not available: samples are kept in sums.")
    if not wanted.Statistics:
        raise bad_combination("At least one of the parameters Statistics and ExtendedStatistics must be specified.")
    start = rounded(wanted.StartTime, datetime.now(UTC))
    periods = -(-int((wanted.EndTime - start).total_seconds()) // wanted.Period)
    if periods > _DATAPOINTS:
        raise bad_combination(
            f"You have requested up to {periods} datapoints, which exceeds the limit of {_DATAPOINTS}. "
            "You may reduce the datapoints requested by increasing Period, or decreasing the time range."
        )
    selection = _selection(ask, wanted.Namespace, wanted.MetricName, wanted.Dimensions, wanted.Unit)
    found: list[Point] = []
    if selection is not None:
        async with ask.context.reading() as connection:
            found = await samples.points(connection, selection, start, wanted.EndTime, wanted.Period, limit=_DATAPOINTS)
    unit = selection.metric.unit if selection is not None else ""
    return {
        "Label": wanted.MetricName,
        "Datapoints": [
            {"Timestamp": point.at} | {name: _STATISTICS[name](point) for name in wanted.Statistics} | {"Unit": unit}
            for point in found
        ],
    }


async def get_metric_data(ask: Ask, given: Members) -> Members:
    """Several metrics and expressions of them, page by page: a page holds MaxDatapoints points. Periods begin at whole
    multiples of theirs."""
    wanted = requests.GetMetricData.model_validate(given)
    queries = wanted.MetricDataQueries
    for query in queries:
        _check_query(query, ask.account_id)
    if len({query.Id for query in queries}) < len(queries):
        raise _invalid("The values for parameter id in MetricDataQueries must be unique.")
    if wanted.StartTime >= wanted.EndTime:
        raise _invalid("The parameter StartTime must be less than the parameter EndTime.")
    expressions = Expressions(queries)
    print_ = _fingerprint(wanted)
    begin, after = _place(wanted.NextToken, print_, len(queries))
    newest_first = wanted.ScanBy == "TimestampDescending"
    room = wanted.MaxDatapoints
    results: list[Members] = []
    token: str | None = None
    async with ask.context.reading() as connection:

        async def read(stat: requests.Stat, limit: int, after: datetime | None = None) -> dict[datetime, float]:
            """The metric's points after one of them, ``limit`` and one more."""
            metric = stat.Metric
            selection = _selection(ask, metric.Namespace, metric.MetricName, metric.Dimensions, stat.Unit)
            if selection is None:
                return {}
            start = floor(rounded(wanted.StartTime, datetime.now(UTC)), stat.Period)
            found = await samples.points(
                connection,
                selection,
                start,
                wanted.EndTime,
                stat.Period,
                limit=limit + 1,
                newest_first=newest_first,
                after=after,
            )
            return {point.at: _STATISTICS[stat.Stat](point) for point in found}

        for index, query in enumerate(queries[begin:], begin):
            if not query.ReturnData:
                continue
            if room <= 0:
                token = _token(print_, index, None)
                break
            since = after if index == begin else None
            if query.MetricStat is not None:
                found = await read(query.MetricStat, room, since)
            else:
                found = _rest(await expressions.series(query.Id, read), newest_first, since)
            shown = dict(list(found.items())[:room])
            room -= len(shown)
            partial = len(found) > len(shown)
            label = query.MetricStat.Metric.MetricName if query.MetricStat is not None else query.Id
            results.append(
                {
                    "Id": query.Id,
                    "Label": query.Label or label,
                    "Timestamps": list(shown),
                    "Values": list(shown.values()),
                    "StatusCode": "PartialData" if partial else "Complete",
                }
            )
            if partial:
                token = _token(print_, index, list(shown)[-1])
                break
    answer: Members = {"MetricDataResults": results, "Messages": []}
    return answer if token is None else {**answer, "NextToken": token}


def _rest(series: Series, newest_first: bool, after: datetime | None) -> dict[datetime, float]:
    """The series in the order asked for, beyond the point that was given last."""
    ordered = sorted(series.items(), reverse=newest_first)
    if after is None:
        return dict(ordered)
    return {at: value for at, value in ordered if (at < after if newest_first else at > after)}


async def list_metrics(ask: Ask, given: Members) -> Members:
    """Metrics that have had samples in the last two weeks, or three hours, 500 a page."""
    wanted = requests.ListMetrics.model_validate(given)
    print_ = _fingerprint(wanted)
    after = None
    if wanted.NextToken is not None:
        position = _read_token(wanted.NextToken, print_)
        if len(position) != 5 or not all(isinstance(part, str) for part in position):
            raise _bad_token()
        after = (position[0], position[1], position[2], position[3], position[4])
    if wanted.Namespace is not None and wanted.Namespace not in _NAMESPACES:
        return {"Metrics": []}
    now = datetime.now(UTC)
    since = now - (timedelta(hours=3) if wanted.RecentlyActive else _LISTED)
    found: list[Members] = []
    async with ask.context.reading() as connection:
        while True:
            names = await samples.names(connection, ask.account_id, ask.region, since, after, _METRICS)
            for name in names:
                if len(found) == _METRICS:
                    return {"Metrics": found, "NextToken": _token(print_, *after or ())}
                after = name
                if _matches(name, wanted):
                    found.append(_metric(name))
            if len(names) < _METRICS:
                return {"Metrics": found}


def _metric(name: samples.Named) -> Members:
    service, metric, *_ = name
    dimensions = _dimensions(name)
    return {
        "Namespace": _SERVICES[service].name,
        "MetricName": metric,
        "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
    }


def _dimensions(name: samples.Named) -> dict[str, str]:
    service, _, project, version, operation = name
    held = {"project": project, "model_version": version, "operation": operation}
    return {key: held[field] for key, field in _SERVICES[service].dimensions.items() if held[field]}


def _matches(name: samples.Named, wanted: requests.ListMetrics) -> bool:
    service, metric, *_ = name
    if wanted.MetricName not in (None, metric) or wanted.Namespace not in (None, _SERVICES[service].name):
        return False
    held = _dimensions(name)
    return all(asked.Name in held and asked.Value in (None, held[asked.Name]) for asked in wanted.Dimensions)


def _selection(
    ask: Ask, name: str, metric: str, dimensions: list[requests.Dimension], unit: str | None
) -> Selection | None:
    """What of ours is asked for; None for what does not exist, which has no points and is no error."""
    namespace = _NAMESPACES.get(name)
    held = {dimension.Name: dimension.Value for dimension in dimensions}
    if namespace is None or metric not in namespace.metrics or len(held) < len(dimensions):
        return None
    if frozenset(held) not in namespace.sets:
        return None
    found = Metric(metric)
    if unit is not None and unit != found.unit:
        return None
    fields = {namespace.dimensions[key]: value for key, value in held.items()}
    return Selection(ask.account_id, ask.region, namespace.service, found, **fields)


def _check_query(query: requests.MetricDataQuery, account_id: str) -> None:
    if (query.MetricStat is None) == (query.Expression is None):
        raise _invalid(f"Query {query.Id} must have a MetricStat or an Expression, and not both.")
    if query.AccountId not in (None, account_id):
        raise _invalid(f"Query {query.Id} names another account; metrics of other accounts are not available.")
    if query.MetricStat is None:
        return
    if query.MetricStat.Stat not in _STATISTICS:
        raise _invalid(
            f"The value {query.MetricStat.Stat[:100]} for parameter Stat is not available; it may be "
            f"{', '.join(_STATISTICS)}."
        )
    _check_period(query.MetricStat.Period, _invalid)


def _check_period(period: int, error: Callable[[str], AwsError]) -> None:
    if period < SECONDS[Resolution.MINUTE] or period % SECONDS[Resolution.MINUTE]:
        raise error("The parameter Period must be a multiple of 60, and at least 60.")
    if period > _LONGEST_PERIOD:
        raise error(f"The parameter Period must not be greater than {_LONGEST_PERIOD}.")


def _invalid(message: str) -> AwsError:
    return AwsError("ValidationError", message)


def _fingerprint(wanted: requests.GetMetricData | requests.ListMetrics) -> str:
    """Of everything but the token: a token goes on with the request that it came from, and no other."""
    asked = wanted.model_dump(mode="json", exclude={"NextToken", "MaxDatapoints"})
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]


def _token(print_: str, *position: Any) -> str:
    text = json.dumps([print_, *(part.isoformat() if isinstance(part, datetime) else part for part in position)])
    return base64.urlsafe_b64encode(text.encode()).decode()


def _read_token(token: str, print_: str) -> list[Any]:
    try:
        position = json.loads(base64.b64decode(token, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        raise _bad_token() from None
    if not isinstance(position, list) or not position or position[0] != print_:
        raise _bad_token()
    return position[1:]


def _place(token: str | None, print_: str, queries: int) -> tuple[int, datetime | None]:
    """Which query to go on with, and after which of its points."""
    if token is None:
        return 0, None
    match _read_token(token, print_):
        case [int() as index, None] if 0 <= index < queries:
            return index, None
        case [int() as index, str() as text] if 0 <= index < queries:
            try:
                moment = datetime.fromisoformat(text)
            except ValueError:
                raise _bad_token() from None
            if moment.tzinfo is not None and moment.year < MAXYEAR:
                return index, moment
    raise _bad_token()


def _bad_token() -> AwsError:
    return AwsError("InvalidNextToken", "The token is not one that this request was answered with.")


OPERATIONS: Final[Mapping[str, Callable[[Ask, Members], Awaitable[Members]]]] = {
    "GetMetricData": get_metric_data,
    "GetMetricStatistics": get_metric_statistics,
    "ListMetrics": list_metrics,
}
