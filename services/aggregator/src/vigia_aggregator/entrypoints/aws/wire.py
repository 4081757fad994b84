"""How a request for CloudWatch is written: Smithy RPC v2 CBOR (newest boto3), JSON 1.0, or AWS Query with XML (older
boto3 and CLI, Java). All three carry the same members, so only this module knows which one a client speaks."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

import cbor2
from starlette.requests import Request
from starlette.responses import Response

from vigia_aggregator.entrypoints.aws.errors import AwsError

_VERSION: Final = "2010-08-01"
_XMLNS: Final = f"http://monitoring.amazonaws.com/doc/{_VERSION}/"
_TARGET: Final = "GraniteServiceVersion20100801"
_CBOR: Final = "application/cbor"
_JSON: Final = "application/x-amz-json-1.0"
_XML: Final = "text/xml"
#: Parameters of a request in AWS Query; 500 queries of 30 dimensions each do not fit, nor does anybody send them.
_MOST_FIELDS: Final = 20_000
#: Segments of a parameter's name: MetricDataQueries.member.1.MetricStat.Metric.Dimensions.member.1.Name has nine.
_DEEPEST: Final = 12
_LONGEST_LIST: Final = 1000

Members = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wire:
    """One way of writing. ``read`` gives operation and members, ``write`` and ``fail`` the answer."""

    read: Callable[[Request, bytes], tuple[str, Members]]
    write: Callable[[str, Members, str], Response]
    fail: Callable[[AwsError, str], Response]


def wire_of(request: Request) -> Wire:
    """The way in which ``request`` is written; the answer is written the same way."""
    if request.headers.get("smithy-protocol") == "rpc-v2-cbor":
        return CBOR
    return JSON if request.headers.get("x-amz-target") else QUERY


def _read_cbor(request: Request, body: bytes) -> tuple[str, Members]:
    operation = request.url.path.rpartition("/operation/")[2]
    try:
        members = cbor2.loads(body) if body else {}
    # Whatever a decoder makes of a stranger's bytes: the bytes are wrong.
    except Exception as error:
        raise AwsError("SerializationException", "The request body is not CBOR.") from error
    return operation, _object(members)


def _write_cbor(operation: str, members: Members, request_id: str) -> Response:
    headers = {"smithy-protocol": "rpc-v2-cbor", "x-amzn-requestid": request_id}
    return Response(_dumped(members), headers=headers, media_type=_CBOR)


def _fail_cbor(error: AwsError, request_id: str) -> Response:
    headers = {
        "smithy-protocol": "rpc-v2-cbor",
        "x-amzn-requestid": request_id,
        # Clients that knew AWS Query go on seeing its codes.
        "x-amzn-query-error": f"{error.code};{_fault(error)}",
    }
    body = {"__type": f"com.amazonaws.cloudwatch#{error.shape}", "message": error.message}
    return Response(_dumped(body), error.status, headers, _CBOR)


def _dumped(members: Members) -> bytes:
    return cbor2.dumps(members, datetime_as_timestamp=True, timezone=UTC)


def _read_json(request: Request, body: bytes) -> tuple[str, Members]:
    target, _, operation = request.headers.get("x-amz-target", "").rpartition(".")
    if target != _TARGET:
        raise AwsError("UnknownOperationException", f"No operation is served as {target}.{operation}.", 404)
    try:
        members = json.loads(body) if body else {}
    except (ValueError, RecursionError) as error:
        raise AwsError("SerializationException", "The request body is not JSON.") from error
    return operation, _object(members)


def _write_json(operation: str, members: Members, request_id: str) -> Response:
    body = json.dumps(members, default=_epoch).encode()
    return Response(body, headers={"x-amzn-requestid": request_id}, media_type=_JSON)


def _fail_json(error: AwsError, request_id: str) -> Response:
    headers = {"x-amzn-requestid": request_id, "x-amzn-query-error": f"{error.code};{_fault(error)}"}
    body = {"__type": f"com.amazonaws.cloudwatch#{error.shape}", "message": error.message}
    return Response(json.dumps(body).encode(), error.status, headers, _JSON)


def _read_query(request: Request, body: bytes) -> tuple[str, Members]:
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        raise AwsError("MalformedQueryString", "The request body is not a form, or has too many fields.") from error
    given = dict(pairs)
    operation = given.pop("Action", "")
    given.pop("Version", None)
    if not operation:
        raise AwsError("MissingAction", "The request names no Action.")
    return operation, _object(_tree(given))


def _tree(given: Mapping[str, str]) -> Any:
    """Structures and lists of ``A.member.1.B=value``."""
    root: dict[str, Any] = {}
    for name, value in given.items():
        parts = name.split(".")
        if len(parts) > _DEEPEST:
            raise AwsError("MalformedQueryString", f"The parameter {name[:100]} lies too deep.")
        place = root
        for part in parts[:-1]:
            inner = place.setdefault(part, {})
            if not isinstance(inner, dict):
                raise AwsError("MalformedQueryString", f"The parameter {name[:100]} has a value and members.")
            place = inner
        if isinstance(place.get(parts[-1]), dict):
            raise AwsError("MalformedQueryString", f"The parameter {name[:100]} has a value and members.")
        place[parts[-1]] = value
    return _lists(root)


def _lists(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    if node.keys() == {"member"} and isinstance(node["member"], dict):
        members = node["member"]
        if not all(key.isascii() and key.isdigit() and len(key) < 6 for key in members):
            raise AwsError("MalformedQueryString", "The members of a list are numbered.")
        if len(members) > _LONGEST_LIST:
            raise AwsError("MalformedQueryString", f"A list has at most {_LONGEST_LIST} members.")
        return [_lists(members[key]) for key in sorted(members, key=int)]
    return {key: _lists(value) for key, value in node.items()}


def _write_query(operation: str, members: Members, request_id: str) -> Response:
    text = (
        f'<{operation}Response xmlns="{_XMLNS}"><{operation}Result>{_xml(members)}</{operation}Result>'
        f"<ResponseMetadata><RequestId>{escape(request_id)}</RequestId></ResponseMetadata></{operation}Response>"
    )
    return Response(text.encode(), headers={"x-amzn-requestid": request_id}, media_type=_XML)


def _fail_query(error: AwsError, request_id: str) -> Response:
    told = {"Type": _fault(error), "Code": error.code, "Message": error.message}
    text = (
        f'<ErrorResponse xmlns="{_XMLNS}"><Error>{_xml(told)}</Error>'
        f"<RequestId>{escape(request_id)}</RequestId></ErrorResponse>"
    )
    return Response(text.encode(), error.status, {"x-amzn-requestid": request_id}, _XML)


def _xml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "".join(f"<{name}>{_xml(member)}</{name}>" for name, member in value.items())
    if isinstance(value, list):
        return "".join(f"<member>{_xml(member)}</member>" for member in value)
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return escape(str(value))


def _object(members: Any) -> Members:
    if not isinstance(members, dict) or not all(isinstance(name, str) for name in members):
        raise AwsError("SerializationException", "The request body is not a structure.")
    return members


def _epoch(value: object) -> float:
    if isinstance(value, datetime):
        return value.timestamp()
    raise TypeError(type(value).__name__)


def _fault(error: AwsError) -> str:
    return "Receiver" if error.status >= 500 else "Sender"


CBOR: Final = Wire(_read_cbor, _write_cbor, _fail_cbor)
JSON: Final = Wire(_read_json, _write_json, _fail_json)
QUERY: Final = Wire(_read_query, _write_query, _fail_query)
