"""Answers and errors as XML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from xml.sax.saxutils import escape

from starlette.requests import Request
from starlette.responses import Response

from vigia_registry.rates import TooManyRequests
from vigia_runtime.errors import AccessDenied, AppError, Conflict, InvalidInput, LimitExceeded, Transient, Unavailable
from vigia_runtime.http import request_id
from vigia_runtime.sigv4 import SignatureError

NAMESPACE: Final = "https://sts.amazonaws.com/doc/2011-06-15/"

#: Members of a result: texts, or structures of some.
Members = Mapping[str, "str | Members"]

#: What signature errors are called in this protocol, where that differs.
_SIGNATURES: Final = {
    "UnrecognizedClientException": "InvalidClientTokenId",
    "InvalidSignatureException": "SignatureDoesNotMatch",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as the protocol has it."""

    status: int
    code: str
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)


class InvalidActionError(AppError):
    """No operation has this name and version."""

    def __init__(self, action: str, version: str) -> None:
        super().__init__("invalid_action", f"Could not find operation {action[:100]} for version {version[:20]}")


def answered(request: Request, action: str, result: Members) -> Response:
    """The result of an operation."""
    body = f"<{action}Result>{_members(result)}</{action}Result>"
    metadata = f"<ResponseMetadata><RequestId>{request_id(request)}</RequestId></ResponseMetadata>"
    return _respond(request, 200, f'<{action}Response xmlns="{NAMESPACE}">{body}{metadata}</{action}Response>')


def told(error: Exception) -> Failure:
    """What the caller learns of ``error``: of a fault on our side, nothing but that."""
    match error:
        case TooManyRequests():
            return Failure(400, "Throttling", error.message, {"Retry-After": str(error.retry_after)})
        case AppError():
            status, code = _named(error)
            return Failure(status, code, error.message)
        case Transient():
            return Failure(503, "ServiceUnavailable", "The request has failed due to a temporary failure.")
        case _:
            message = "The request processing has failed because of an unknown error."
            return Failure(500, "InternalFailure", message)


def failed(request: Request, failure: Failure) -> Response:
    """An error on the wire."""
    error = {"Type": "Sender" if failure.status < 500 else "Receiver", "Code": failure.code, "Message": failure.message}
    body = _members({"Error": error, "RequestId": request_id(request)})
    text = f'<ErrorResponse xmlns="{NAMESPACE}">{body}</ErrorResponse>'
    return _respond(request, failure.status, text, failure.headers)


def _named(error: AppError) -> tuple[int, str]:
    match error:
        case SignatureError():
            return error.status, _SIGNATURES.get(error.code, error.code)
        case AccessDenied():
            return 403, "AccessDenied"
        case InvalidInput(code="malformed_policy"):
            return 400, "MalformedPolicyDocument"
        case InvalidInput(code="policy_too_large"):
            return 400, "PackedPolicyTooLarge"
        case InvalidInput():
            return 400, "ValidationError"
        case InvalidActionError():
            return 400, "InvalidAction"
        case LimitExceeded(code="body_too_large"):
            return 413, "RequestEntityTooLarge"
        case Conflict() | LimitExceeded():
            return 409, "LimitExceeded"
        case Unavailable():
            return 503, "ServiceUnavailable"
        case _:
            return 400, "ValidationError"


def _members(members: Members) -> str:
    return "".join(
        f"<{name}>{_text(value) if isinstance(value, str) else _members(value)}</{name}>"
        for name, value in members.items()
    )


def _text(value: str) -> str:
    """Characters that XML cannot carry are left out."""
    return escape("".join(c for c in value if c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd"))


def _respond(request: Request, status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    every = {"x-amzn-requestid": request_id(request), **(headers or {})}
    return Response(text.encode(), status, headers=every, media_type="text/xml")
