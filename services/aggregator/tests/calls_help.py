"""What the tests of audit and metrics share: calls as registry and detection announce them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from aggregator_help import ACCOUNT

from vigia_contracts.audit import CALL_RECORDED, LOOKOUT, Call, CallOutcome, CloudTrailRecord, UserIdentity
from vigia_contracts.base import derived_id
from vigia_contracts.events import Event
from vigia_contracts.usage import UNITS_MEASURED, UnitsMeasured

REGION = "us-east-1"


def make_call(number: int, run: str = "run", **changes: Any) -> Call:
    """The ``number``-th call of a run, a DetectAnomalies that succeeds: the same number and run, the same id."""
    outcome = changes.pop("outcome", CallOutcome.SUCCESS)
    at = changes.pop("called_at", datetime.now(UTC) - timedelta(seconds=1))
    name = changes.pop("name", "DetectAnomalies")
    account = changes.pop("account_id", ACCOUNT)
    region = changes.pop("region", REGION)
    user, key = changes.pop("user", "admin"), changes.pop("key", "AKIAEXAMPLE")
    project, version = changes.pop("project", "cookies"), changes.pop("model_version", "1")
    failed = outcome is not CallOutcome.SUCCESS
    record = CloudTrailRecord(
        userIdentity=UserIdentity(
            type="IAMUser",
            principalId=user,
            arn=f"arn:aws:iam::{account}:user/{user}",
            accountId=account,
            accessKeyId=key,
            userName=user,
        ),
        eventTime=at.replace(microsecond=0),
        eventSource=changes.pop("source", LOOKOUT),
        eventName=name,
        awsRegion=region,
        sourceIPAddress="10.0.0.7",
        userAgent="Boto3/test",
        errorCode="ConflictException" if failed else None,
        errorMessage="it is so" if failed else None,
        requestParameters=changes.pop("parameters", {"projectName": project, "modelVersion": version}),
        requestID=f"{run}-{number}",
        eventID=derived_id("call", run, str(number)),
        readOnly=name.startswith(("Describe", "List", "Detect")),
        recipientAccountId=account,
    )
    values: dict[str, Any] = {
        "account_id": account,
        "region": region,
        "called_at": at,
        "record": record,
        "outcome": outcome,
        "project": project,
        "model_version": version,
        "duration_ms": 10.0,
    }
    return Call.model_validate(values | changes)


def call_event(call: Call) -> Event:
    """As registry and detection publish it."""
    return Event(
        type=CALL_RECORDED,
        source="vigia/registry",
        id=str(call.record.eventID),
        time=call.called_at,
        data=call,
        key=call.account_id,
    )


def make_units(minute: datetime, version: str = "1", **changes: Any) -> UnitsMeasured:
    """A measurement of one unit in service, two desired."""
    values: dict[str, Any] = {
        "account_id": ACCOUNT,
        "region": REGION,
        "project": "cookies",
        "model_arn": f"arn:aws:lookoutvision:{REGION}:{ACCOUNT}:model/cookies/{version}",
        "model_version": version,
        "minute": minute,
        "min_units": 1,
        "max_units": 4,
        "desired_units": 2,
        "in_service_units": 1,
    }
    return UnitsMeasured.model_validate(values | changes)


def make_label_units(minute: datetime, version: str = "v.1", **changes: Any) -> UnitsMeasured:
    """As ``make_units``, of a model version of Custom Labels whose project is called as that of Lookout is."""
    arn = f"arn:aws:rekognition:{REGION}:{ACCOUNT}:project/cookies/version/{version}/1700000000000"
    return make_units(minute, version, **{"model_arn": arn, **changes})


def units_event(measured: UnitsMeasured) -> Event:
    """As registry publishes it."""
    return Event(
        type=UNITS_MEASURED,
        source="vigia/registry",
        id=str(derived_id("units", measured.model_arn, measured.minute.isoformat())),
        time=measured.minute,
        data=measured,
        key=measured.model_arn,
    )


def ids(batch: list[Call]) -> set[UUID]:
    """Their event ids."""
    return {call.record.eventID for call in batch}
