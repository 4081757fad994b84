"""Errors of the core as the protocol names them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from vigia_registry.rates import TooManyRequests
from vigia_runtime.errors import (
    AccessDenied,
    AppError,
    Conflict,
    InvalidInput,
    LimitExceeded,
    NotFound,
    Unavailable,
)
from vigia_runtime.sigv4 import SignatureError

#: Seconds after which a client may try again what failed for a reason that passes.
RETRY_AFTER: Final = "1"
SERVICE: Final = "lookoutvision"
#: How much of a wrong path or method an error repeats, characters.
_SHOWN: Final = 256


@dataclass(frozen=True, slots=True)
class Failure:
    """An error on the wire: ``name`` goes into the header ``x-amzn-errortype``."""

    status: int
    name: str
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)


class UnknownOperationError(AppError):
    """No operation has this method and path."""

    def __init__(self, method: str, path: str) -> None:
        super().__init__("unknown_operation", f"No operation is served at {method[:_SHOWN]} {path[:_SHOWN]}.")


class OperationNotServedError(AppError):
    """An operation of the protocol that this service does not offer."""

    def __init__(self, operation: str) -> None:
        super().__init__("operation_not_served", f"The operation {operation} is not available here.")


def translate(error: AppError) -> Failure:
    """The failure that a client sees."""
    resource = {
        member: error.details[detail]
        for member, detail in (("ResourceId", "resource_id"), ("ResourceType", "resource_type"))
        if detail in error.details
    }
    body = {"Message": error.message}
    match error:
        case SignatureError(code="ExpiredToken"):
            return Failure(error.status, "ExpiredTokenException", body)
        case SignatureError():
            return Failure(error.status, error.code, body)
        case LimitExceeded(code="body_too_large"):
            return Failure(413, "RequestEntityTooLargeException", body)
        case InvalidInput():
            return Failure(400, "ValidationException", body)
        case TooManyRequests():
            quota = {"QuotaCode": error.code, "ServiceCode": SERVICE}
            return Failure(429, "ThrottlingException", {**body, **quota}, {"Retry-After": str(error.retry_after)})
        case LimitExceeded():
            quota = {"QuotaCode": error.code, "ServiceCode": SERVICE}
            return Failure(402, "ServiceQuotaExceededException", {**body, **resource, **quota})
        case AccessDenied():
            return Failure(403, "AccessDeniedException", body)
        case NotFound():
            return Failure(404, "ResourceNotFoundException", {**body, **resource})
        case UnknownOperationError() | OperationNotServedError():
            return Failure(404, "UnknownOperationException", body)
        case Conflict():
            return Failure(409, "ConflictException", {**body, **resource})
        case Unavailable():
            return Failure(500, "InternalServerException", body, {"Retry-After": RETRY_AFTER})
        case _:
            return internal()


def internal() -> Failure:
    """What a client learns of a fault on our side: that it was ours, and nothing else."""
    message = "The service could not complete the request. Try again."
    return Failure(500, "InternalServerException", {"Message": message}, {"Retry-After": RETRY_AFTER})
