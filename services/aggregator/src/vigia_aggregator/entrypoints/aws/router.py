"""The doors of CloudWatch and CloudTrail: who asks, may they, and the answer or the error in their protocol."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from vigia_aggregator.entrypoints.aws import cloudtrail
from vigia_aggregator.entrypoints.aws.errors import AwsError, bad_value, internal, of_invalid
from vigia_aggregator.entrypoints.aws.operations import OPERATIONS, Ask
from vigia_aggregator.entrypoints.aws.wire import wire_of
from vigia_aggregator.entrypoints.context import Context
from vigia_runtime.errors import AccessDenied, AppError, Transient, Unavailable
from vigia_runtime.http import read_body, request_id
from vigia_runtime.logging import get_logger
from vigia_runtime.policies import authorize
from vigia_runtime.signin import Credential, region_of
from vigia_runtime.sigv4 import SignatureError, scope_of

log = get_logger(__name__)

router = APIRouter(include_in_schema=False)

_CLOUDWATCH: Final = "monitoring"
_CLOUDTRAIL: Final = "cloudtrail"
_MOST_BYTES: Final = 1024 * 1024


@router.post("/")
async def endpoint(request: Request) -> Response:
    """One path for both: they are told apart by the service that the request was signed for."""
    if _service(request) == _CLOUDTRAIL:
        return await _cloudtrail(request)
    return await _cloudwatch(request)


@router.post("/service/GraniteServiceVersion20100801/operation/{operation}")
async def smithy(request: Request) -> Response:
    """CloudWatch as the newest SDKs ask it."""
    return await _cloudwatch(request)


async def _cloudwatch(request: Request) -> Response:
    wire, identity = wire_of(request), request_id(request)
    try:
        body = await read_body(request, _MOST_BYTES)
        caller = await _caller(request, body, _CLOUDWATCH)
        operation, members = wire.read(request, body)
        handler = OPERATIONS.get(operation)
        if handler is None:
            known = ", ".join(sorted(OPERATIONS))
            message = f"The operation {operation[:100]} is not available here; there are {known}."
            raise AwsError("InvalidAction", message, shape="UnknownOperationException")
        authorize(caller, f"cloudwatch:{operation}")
        return wire.write(operation, await handler(_ask(request, caller), members), identity)
    except Exception as error:  # noqa: BLE001 - a process boundary: everything is told in the protocol's shape
        return wire.fail(_told(error), identity)


async def _cloudtrail(request: Request) -> Response:
    identity = request_id(request)
    try:
        body = await read_body(request, _MOST_BYTES)
        caller = await _caller(request, body, _CLOUDTRAIL)
        operation, members = cloudtrail.read(request, body)
        if operation != "LookupEvents":
            message = f"The operation {operation[:100]} is not available here; there is LookupEvents."
            raise AwsError("UnsupportedOperationException", message)
        authorize(caller, f"cloudtrail:{operation}")
        return cloudtrail.write(await cloudtrail.lookup_events(_ask(request, caller), members), identity)
    except Exception as error:  # noqa: BLE001 - as above
        return cloudtrail.fail(_told(error), identity)


def _service(request: Request) -> str | None:
    try:
        return scope_of(request.headers.get("authorization")).service
    except SignatureError:
        return _CLOUDTRAIL if "CloudTrail" in request.headers.get("x-amz-target", "") else None


async def _caller(request: Request, body: bytes, service: str) -> Credential:
    return await _context(request).authenticator.authenticate(request, body, service)


def _ask(request: Request, caller: Credential) -> Ask:
    return Ask(_context(request), caller.account_id, region_of(request, ""))


def _context(request: Request) -> Context:
    context: Any = request.app.state.context
    assert isinstance(context, Context)
    return context


def _told(error: Exception) -> AwsError:
    match error:
        case AwsError():
            return error
        case SignatureError(code="ExpiredToken"):
            return AwsError(error.code, error.message, error.status, "ExpiredTokenException")
        case SignatureError():
            return AwsError(error.code, error.message, error.status)
        case AccessDenied():
            return AwsError("AccessDenied", error.message, 403, "AccessDeniedException")
        case ValidationError():
            return of_invalid(error)
        case Unavailable() | Transient():
            log.warning("a dependency does not answer", detail=str(error))
            return internal()
        case AppError():
            return bad_value(error.message)
        case _:
            log.error("request failed", exc_info=error)
            return internal()
