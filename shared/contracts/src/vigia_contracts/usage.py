"""Usage: how many inference units a model version has, measured once a minute. Key: the model version's ARN."""

from __future__ import annotations

from pydantic import Field

from vigia_contracts.base import Payload, UtcTime

UNITS_MEASURED = "vigia.units.measured.v1"


class UnitsMeasured(Payload):
    """Inference units of one hosted version in one minute. There is one measurement per version and minute."""

    account_id: str
    region: str
    project: str
    model_arn: str
    model_version: str = Field(description="its number; in Custom Labels its name")
    minute: UtcTime = Field(description="where the minute begins")
    min_units: int = Field(ge=0, description="as given to StartModel")
    max_units: int | None = Field(default=None, ge=0, description="as given to StartModel, where it was")
    desired_units: int = Field(ge=0, description="what scaling is heading for")
    in_service_units: int = Field(ge=0, description="what answers")
