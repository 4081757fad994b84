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

SERVICE: Final = "rekognition"
#: Errors of the core that the protocol has a name of its own for; others go by their kind.
_NAMES: Final = {
    "dataset_exists": "ResourceAlreadyExistsException",
    "dataset_unready": "ResourceNotReadyException",
    "invalid_page_token": "InvalidPaginationTokenException",
    "manifest_unavailable": "InvalidS3ObjectException",
    "page_too_large": "ValidationException",
    "policies_per_project": "ServiceQuotaExceededException",
    "policy_exists": "ResourceAlreadyExistsException",
    "policy_malformed": "MalformedPolicyDocumentException",
    "policy_revision": "InvalidPolicyRevisionIdException",
    "tags_per_resource": "ServiceQuotaExceededException",
}
#: How much of a wrong operation an error repeats, characters.
_SHOWN: Final = 128


class UnknownOperationError(AppError):
    """The header names no operation of Custom Labels: none at all, or one of Rekognition's other parts."""

    def __init__(self, target: str) -> None:
        name = target.rpartition(".")[2][:_SHOWN]
        super().__init__(
            "unknown_operation",
            f"The operation {name!r} is not available here: of Rekognition, Custom Labels is served "
            "(CreateProject, CreateDataset, CreateProjectVersion, DetectCustomLabels and their like).",
        )


def translate(error: AppError) -> Failure:
    """The failure that a client sees."""
    named = _NAMES.get(error.code)
    if named is not None:
        return Failure(400, named, error.message)
    match error:
        case SignatureError():
            return Failure(400, error.code, error.message)
        case LimitExceeded(code="body_too_large"):
            return Failure(413, "RequestEntityTooLargeException", error.message)
        case InvalidInput():
            return Failure(400, "InvalidParameterException", error.message)
        case TooManyRequests():
            return Failure(500, "ThrottlingException", error.message)
        case LimitExceeded():
            return Failure(400, "LimitExceededException", error.message)
        case AccessDenied():
            return Failure(400, "AccessDeniedException", error.message)
        case NotFound():
            return Failure(400, "ResourceNotFoundException", error.message)
        case UnknownOperationError():
            return Failure(400, "UnknownOperationException", error.message)
        case Conflict():
            return Failure(400, "ResourceInUseException", error.message)
        case Unavailable():
            return Failure(500, "InternalServerError", error.message)
        case _:
            return internal()


def internal() -> Failure:
    """What a client learns of a fault on our side: that it was ours, and nothing else."""
    return Failure(500, "InternalServerError", "The service could not complete the request. Try again.")
