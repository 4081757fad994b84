"""What the operations of CloudWatch take, spelled as it spells them. Numbers and times may be texts: AWS Query has
nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field


def _utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    except OverflowError:
        raise ValueError("the time lies before the first year or after the last one") from None


def _some(value: Any) -> Any:
    """AWS Query writes an empty list as an empty text."""
    return [] if value == "" else value


_Moment = Annotated[datetime, AfterValidator(_utc)]
_Name = Annotated[str, Field(min_length=1, max_length=255)]


class _Members(BaseModel):
    """Members that are not known are ignored, as AWS does."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Dimension(_Members):
    Name: _Name
    Value: Annotated[str, Field(min_length=1, max_length=1024)]


_Dimensions = Annotated[list[Dimension], BeforeValidator(_some), Field(max_length=30)]


class MetricRef(_Members):
    Namespace: _Name
    MetricName: _Name
    Dimensions: _Dimensions = []


class Stat(_Members):
    Metric: MetricRef
    Period: int
    Stat: str
    Unit: str | None = None


class MetricDataQuery(_Members):
    Id: Annotated[str, Field(pattern=r"^[a-z][a-zA-Z0-9_]{0,254}$")]
    MetricStat: Stat | None = None
    Expression: str | None = None
    Label: str | None = None
    ReturnData: bool = True
    AccountId: str | None = None


class GetMetricData(_Members):
    MetricDataQueries: Annotated[list[MetricDataQuery], Field(min_length=1, max_length=500)]
    StartTime: _Moment
    EndTime: _Moment
    NextToken: str | None = None
    ScanBy: Literal["TimestampDescending", "TimestampAscending"] = "TimestampDescending"
    MaxDatapoints: Annotated[int, Field(ge=1, le=100_800)] = 100_800


class GetMetricStatistics(_Members):
    Namespace: _Name
    MetricName: _Name
    Dimensions: _Dimensions = []
    StartTime: _Moment
    EndTime: _Moment
    Period: int
    Statistics: Annotated[
        list[Literal["SampleCount", "Average", "Sum", "Minimum", "Maximum"]],
        BeforeValidator(_some),
        Field(max_length=5),
    ] = []
    ExtendedStatistics: Annotated[list[str], BeforeValidator(_some)] = []
    Unit: str | None = None


class DimensionFilter(_Members):
    Name: _Name
    Value: Annotated[str | None, Field(max_length=1024)] = None


class ListMetrics(_Members):
    Namespace: str | None = None
    MetricName: str | None = None
    Dimensions: Annotated[list[DimensionFilter], BeforeValidator(_some), Field(max_length=10)] = []
    NextToken: str | None = None
    RecentlyActive: Literal["PT3H"] | None = None
