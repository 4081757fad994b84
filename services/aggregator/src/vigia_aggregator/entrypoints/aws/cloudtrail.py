"""LookupEvents of CloudTrail: JSON 1.1."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from vigia_aggregator.adapters import audit
from vigia_aggregator.domain.cursors import PageCursor
from vigia_aggregator.domain.filters import CallFilter
from vigia_aggregator.entrypoints.aws.errors import AwsError
from vigia_aggregator.entrypoints.aws.operations import Ask
from vigia_runtime.errors import InvalidInput

_TARGET: Final = "CloudTrail_20131101"
_TYPE: Final = "application/x-amz-json-1.1"
_MOST: Final = 50
#: An end from here on is none.
_LAST: Final = datetime(9999, 12, 31, tzinfo=UTC)
#: Longer values are of nothing that exists.
_LONGEST: Final = 2000
#: Attributes and the columns that hold them.
_COLUMNS: Final = {
    "EventName": "name",
    "Username": "username",
    "EventSource": "source",
    "AccessKeyId": "access_key_id",
    "ResourceName": "resource",
    "ResourceType": "resource_type",
}


def read(request: Request, body: bytes) -> tuple[str, dict[str, Any]]:
    """The operation and its members."""
    target, _, operation = request.headers.get("x-amz-target", "").rpartition(".")
    if target.rpartition(".")[2] != _TARGET:
        raise AwsError("UnknownOperationException", f"No operation is served as {target[:100]}.{operation[:100]}.")
    try:
        members = json.loads(body) if body else {}
    except (ValueError, RecursionError):
        members = None
    if not isinstance(members, dict):
        raise AwsError("SerializationException", "The request body is not a JSON object.")
    return operation, members


def write(members: dict[str, Any], request_id: str) -> Response:
    """The answer."""
    return Response(json.dumps(members).encode(), headers={"x-amzn-requestid": request_id}, media_type=_TYPE)


def fail(error: AwsError, request_id: str) -> Response:
    """The error."""
    body = {"__type": error.shape, "message": error.message}
    headers = {"x-amzn-requestid": request_id, "x-amzn-errortype": error.shape}
    return Response(json.dumps(body).encode(), error.status, headers, _TYPE)


async def lookup_events(ask: Ask, given: dict[str, Any]) -> dict[str, Any]:
    """Calls of the account in the region, newest first."""
    if given.get("EventCategory") is not None:
        raise AwsError(
            "InvalidEventCategoryException", "There are management events only; EventCategory must not be given."
        )
    wanted: dict[str, Any] = {"account_id": ask.account_id, "region": ask.region}
    nothing = not _attribute(given.get("LookupAttributes"), wanted)
    wanted["since"], until = _moment(given, "StartTime"), _moment(given, "EndTime")
    if wanted["since"] is not None and until is not None and wanted["since"] > until:
        raise AwsError("InvalidTimeRangeException", "StartTime must not be after EndTime.")
    # An event of the very second of EndTime belongs to the range.
    if until is not None and until >= _LAST:
        until = None
    wanted["until"] = None if until is None else until.replace(microsecond=0) + timedelta(seconds=1)
    limit = given.get("MaxResults", _MOST)
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= _MOST:
        raise AwsError("InvalidMaxResultsException", f"MaxResults must be between 1 and {_MOST}.")
    place = _cursor(given.get("NextToken"))
    if nothing:
        return {"Events": []}
    async with ask.context.reading() as connection:
        rows, following = await audit.page(connection, CallFilter(**wanted), place, limit)
    answer: dict[str, Any] = {"Events": [_event(row) for row in rows]}
    return answer if following is None else {**answer, "NextToken": following.encode()}


def _attribute(given: Any, wanted: dict[str, Any]) -> bool:
    """Put what is looked for into ``wanted``; False where nothing can be like that."""
    if given is None or given == []:
        return True
    bad = AwsError("InvalidLookupAttributesException", "LookupAttributes has one attribute, with a key and a value.")
    if not isinstance(given, list) or len(given) != 1 or not isinstance(given[0], dict):
        raise bad
    key, value = given[0].get("AttributeKey"), given[0].get("AttributeValue")
    if not isinstance(key, str) or not isinstance(value, str) or not 1 <= len(value) <= _LONGEST or "\0" in value:
        raise bad
    if key in _COLUMNS:
        wanted[_COLUMNS[key]] = value
    elif key == "ReadOnly":
        if value not in ("true", "false"):
            return False
        wanted["read_only"] = value == "true"
    elif key == "EventId":
        try:
            wanted["event_id"] = UUID(value)
        except ValueError:
            return False
    else:
        known = ", ".join(sorted([*_COLUMNS, "ReadOnly", "EventId"]))
        raise AwsError("InvalidLookupAttributesException", f"{key[:100]} is no attribute; they are {known}.")
    return True


def _moment(given: dict[str, Any], name: str) -> datetime | None:
    value = given.get(name)
    if value is None:
        return None
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, TypeError, OverflowError, OSError):
        raise AwsError("InvalidTimeRangeException", f"{name} is no time.") from None


def _cursor(token: Any) -> PageCursor | None:
    if token is None:
        return None
    try:
        if not isinstance(token, str):
            raise InvalidInput("bad_cursor", "the token is not text")
        return PageCursor.decode(token)
    except InvalidInput:
        raise AwsError("InvalidNextTokenException", "The token is not one that LookupEvents has given.") from None


def _event(row: audit.Row) -> dict[str, Any]:
    return {
        "EventId": str(row["event_id"]),
        "EventName": row["name"],
        "ReadOnly": "true" if row["read_only"] else "false",
        "AccessKeyId": row["access_key_id"],
        "EventTime": int(row["called_at"].timestamp()),
        "EventSource": row["source"],
        "Username": row["username"],
        "Resources": [{"ResourceType": one["type"], "ResourceName": one["name"]} for one in row["resources"]],
        "CloudTrailEvent": json.dumps(row["record"]),
    }
