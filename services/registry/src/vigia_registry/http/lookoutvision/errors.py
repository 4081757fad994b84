"""Errors of the core as the protocol names them."""

from __future__ import annotations

from typing import Final

from vigia_registry.http.endpoint import Failure
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
    message = error.message
    match error:
        case SignatureError(code="ExpiredToken"):
            return Failure(error.status, "ExpiredTokenException", message)
        case SignatureError():
            return Failure(error.status, error.code, message)
        case LimitExceeded(code="body_too_large"):
            return Failure(413, "RequestEntityTooLargeException", message)
        case InvalidInput():
            return Failure(400, "ValidationException", message)
        case TooManyRequests():
            quota = {"QuotaCode": error.code, "ServiceCode": SERVICE}
            return Failure(429, "ThrottlingException", message, quota, {"Retry-After": str(error.retry_after)})
        case LimitExceeded():
            quota = {"QuotaCode": error.code, "ServiceCode": SERVICE}
            return Failure(402, "ServiceQuotaExceededException", message, {**resource, **quota})
        case AccessDenied():
            return Failure(403, "AccessDeniedException", message)
        case NotFound():
            return Failure(404, "ResourceNotFoundException", message, resource)
        case UnknownOperationError() | OperationNotServedError():
            return Failure(404, "UnknownOperationException", message)
        case Conflict():
            return Failure(409, "ConflictException", message, resource)
        case Unavailable():
            return Failure(500, "InternalServerException", message, headers={"Retry-After": RETRY_AFTER})
        case _:
            return internal()


def internal() -> Failure:
    """What a client learns of a fault on our side: that it was ours, and nothing else."""
    message = "The service could not complete the request. Try again."
    return Failure(500, "InternalServerException", message, headers={"Retry-After": RETRY_AFTER})
