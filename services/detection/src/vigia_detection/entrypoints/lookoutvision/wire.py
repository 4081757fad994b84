"""Lookout for Vision's answers and errors as they are on the wire (rest-json 1.1). Translation only, no rules."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
from fastapi.responses import JSONResponse

from vigia_runtime.errors import AccessDenied, AppError, Transient, Unavailable
from vigia_runtime.sigv4 import SignatureError
from vigia_vision.interpret import Answer
from vigia_vision.manifest import BACKGROUND_COLOR, BACKGROUND_NAME

#: Seconds after which a refused caller may try again.
_RETRY_AFTER = "1"


class AwsError(Exception):
    """An error of the protocol: HTTP status, name, message, further members of the body, and whether to retry."""

    def __init__(
        self, status: int, name: str, message: str, members: Mapping[str, str] | None = None, *, retry: bool = False
    ) -> None:
        super().__init__(message)
        self.status = status
        self.name = name
        self.message = message
        self.members = dict(members or {})
        self.retry = retry

    def response(self, request_id: str) -> JSONResponse:
        """The error as an SDK expects it."""
        headers = {"x-amzn-requestid": request_id, "x-amzn-errortype": self.name}
        if self.retry:
            headers["Retry-After"] = _RETRY_AFTER
        return JSONResponse({"Message": self.message, **self.members}, self.status, headers)


class BadImageError(AwsError):
    """A ValidationException that is the image's fault."""

    def __init__(self, message: str) -> None:
        super().__init__(400, "ValidationException", message)


def validation(message: str) -> AwsError:
    """The request breaks a rule."""
    return AwsError(400, "ValidationException", message)


def denied(message: str) -> AwsError:
    """The caller is known and may not do this."""
    return AwsError(403, "AccessDeniedException", message)


def not_found(message: str, resource_id: str) -> AwsError:
    """There is no such model."""
    members = {"ResourceId": resource_id, "ResourceType": "MODEL"}
    return AwsError(404, "ResourceNotFoundException", message, members)


def conflict(message: str, resource_id: str) -> AwsError:
    """The model's state forbids the request."""
    return AwsError(409, "ConflictException", message, {"ResourceId": resource_id, "ResourceType": "MODEL"})


def throttled(message: str) -> AwsError:
    """Too much at once; the same request may work a moment later."""
    return AwsError(429, "ThrottlingException", message, retry=True)


def internal(message: str) -> AwsError:
    """The service failed; the same request may work later."""
    return AwsError(500, "InternalServerException", message, retry=True)


def told(error: Exception) -> AwsError:
    """What the caller learns of ``error``."""
    match error:
        case AwsError():
            return error
        case SignatureError(code="ExpiredToken"):
            return AwsError(error.status, "ExpiredTokenException", error.message)
        case SignatureError():
            return AwsError(error.status, error.code, error.message)
        case AccessDenied():
            return denied(error.message)
        case Unavailable() | Transient():
            return internal("The service cannot answer now. Try again.")
        case AppError():
            return validation(error.message)
        case _:
            return internal("The service failed.")


def result(answer: Answer, mask: bytes | None) -> dict[str, Any]:
    """The body of DetectAnomalies. Anomalies and mask for segmentation models only, background first."""
    found: dict[str, Any] = {
        "Source": {"Type": "direct"},
        "IsAnomalous": answer.is_anomalous,
        "Confidence": _single(answer.confidence),
    }
    if mask is not None:
        areas = [(BACKGROUND_NAME, answer.background_area, BACKGROUND_COLOR)]
        areas += [(label.name, label.area, label.color) for label in answer.labels]
        found["Anomalies"] = [
            {"Name": name, "PixelAnomaly": {"TotalPercentageArea": _single(area), "Color": color.upper()}}
            for name, area, color in areas
        ]
        found["AnomalyMask"] = base64.b64encode(mask).decode()
    return {"DetectAnomalyResult": found}


def _single(value: float) -> float:
    """The number in single precision, as the service gives it: printed as a double."""
    return float(np.float32(value))
