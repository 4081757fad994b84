"""Custom Labels' requests, answers and errors as they are on the wire (AWS JSON 1.1). Translation only, no rules."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json
from starlette.responses import Response

from vigia_contracts.base import ObjectRef
from vigia_contracts.inspections import InvalidCause
from vigia_detection.app.errors import ImageGone, ImageTooLarge, NotJudged
from vigia_detection.app.labels import LabelRequest
from vigia_detection.domain.labels import Label, Wish
from vigia_detection.domain.versions import PATTERN, version_of
from vigia_detection.entrypoints.places import FullError
from vigia_runtime.errors import AccessDenied, AppError, LimitExceeded, Transient, Unavailable
from vigia_runtime.http import Body
from vigia_runtime.sigv4 import SignatureError

NAME: Final = "DetectCustomLabels"
TARGET: Final = f"RekognitionService.{NAME}"
NOT_READY: Final = "ResourceNotReadyException"
_JSON: Final = "application/x-amz-json-1.1"
#: How much of a wrong operation an error repeats, characters.
_SHOWN: Final = 128
_THROTTLING: Final = frozenset({"ThrottlingException", "ProvisionedThroughputExceededException"})


class LabelsError(Exception):
    """An error of the protocol: HTTP status, name and message. ``bad_image``: it is the image's fault."""

    def __init__(self, name: str, message: str, status: int = 400, *, bad_image: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.name = name
        self.message = message
        self.bad_image = bad_image

    @property
    def is_throttling(self) -> bool:
        """Whether too much was asked at once; the same request may work a moment later."""
        return self.name in _THROTTLING

    def response(self, request_id: str) -> Response:
        """The error as an SDK expects it."""
        body = {"__type": self.name, "message": self.message}
        return _respond(self.status, body, {"x-amzn-requestid": request_id, "x-amzn-errortype": self.name})


class _Members(BaseModel):
    """Members that are not known are ignored, as AWS does. Bytes are base64, which is read where the JSON is."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, val_json_bytes="base64")


class _S3Object(_Members):
    Bucket: Annotated[str, Field(min_length=3, max_length=255, pattern=r"^[0-9A-Za-z.\-_]*$")]
    Name: Annotated[str, Field(min_length=1, max_length=1024)]
    Version: Annotated[str | None, Field(min_length=1, max_length=1024)] = None


class _Image(_Members):
    Bytes: Annotated[bytes | None, Field(min_length=1)] = None
    S3Object: _S3Object | None = None


class _Asked(_Members):
    ProjectVersionArn: Annotated[str, Field(min_length=20, max_length=2048)]
    Image: _Image
    MinConfidence: Annotated[float | None, Field(ge=0, le=100, allow_inf_nan=False)] = None
    MaxResults: Annotated[int | None, Field(ge=0)] = None


@dataclass(frozen=True, slots=True)
class Given:
    """What a body says: the request, or what is wrong with it; and its ``parameters`` as the audit may know them."""

    request: LabelRequest | LabelsError
    parameters: Mapping[str, Any] = field(default_factory=dict)


def read(body: Body, most_bytes: int) -> Given:
    """What the body asks for; an image in it may have ``most_bytes``."""
    match body.fault:
        case None:
            pass
        case LimitExceeded():
            message = f"The request is too large: an image in it may have {most_bytes} bytes."
            return Given(LabelsError("ImageTooLargeException", message, bad_image=True))
        case _:
            return Given(_invalid("The request ended before its body did."))
    try:
        asked = _Asked.model_validate_json(body.data)
    except ValidationError as error:
        members = _members(body.data)
        if members is None:
            return Given(_invalid("The request body is not a JSON object."))
        return Given(_named(error), _recorded(members))
    image = asked.Image
    shown = asked.model_dump(exclude={"Image"}, exclude_none=True)
    shown["Image"] = {"Bytes": _size(image.Bytes)} if image.Bytes is not None else image.model_dump(exclude_none=True)
    return Given(_request(asked, most_bytes), shown)


def unknown_operation(target: str) -> LabelsError:
    """The header names another operation, or none."""
    name = target.rpartition(".")[2][:_SHOWN]
    return LabelsError("UnknownOperationException", f"The operation {name!r} is not answered here: {NAME} is.")


def not_found(arn: str) -> LabelsError:
    """The caller has no such version."""
    return LabelsError("ResourceNotFoundException", f"There is no model version {arn}.")


def not_ready(arn: str) -> LabelsError:
    """The version does not run."""
    return LabelsError(NOT_READY, f"The model version {arn} is not running. Start it first.")


def no_object(message: str) -> LabelsError:
    """The image cannot be had from the object store: it is not there, or not the caller's to read."""
    return LabelsError("InvalidS3ObjectException", f"Unable to get the object from S3: {message}.")


def told(error: Exception, arn: str = "") -> LabelsError:
    """What the caller learns of ``error``, who asked the version of ``arn``."""
    match error:
        case LabelsError():
            return error
        case NotJudged():
            return _not_judged(error, arn)
        case ImageGone():
            return no_object(str(error))
        case ImageTooLarge():
            return LabelsError("ImageTooLargeException", f"The image is too large: {error}.", bad_image=True)
        case FullError():
            return LabelsError("ThrottlingException", "Too many images are being judged. Try again in a moment.", 500)
        case SignatureError(code="ExpiredToken"):
            return LabelsError("ExpiredTokenException", error.message)
        case SignatureError():
            return LabelsError(error.code, error.message)
        case AccessDenied():
            return LabelsError("AccessDeniedException", error.message)
        case Unavailable() | Transient():
            return _internal("The service cannot answer now. Try again.")
        case AppError():
            return _invalid(error.message)
        case _:
            return _internal("The service could not complete the request. Try again.")


def answer(labels: tuple[Label, ...], request_id: str) -> Response:
    """The answer. Image-level labels have no geometry at all: clients look whether it is there."""
    return _respond(200, {"CustomLabels": [_label(label) for label in labels]}, {"x-amzn-requestid": request_id})


def _label(label: Label) -> dict[str, Any]:
    found: dict[str, Any] = {"Name": label.name, "Confidence": label.confidence}
    if (box := label.box) is not None:
        place = {"Width": box.width, "Height": box.height, "Left": box.left, "Top": box.top}
        found["Geometry"] = {"BoundingBox": place}
    return found


def _request(asked: _Asked, most_bytes: int) -> LabelRequest | LabelsError:
    version = version_of(asked.ProjectVersionArn)
    if version is None:
        return _violated("projectVersionArn", f"Member must satisfy regular expression pattern: {PATTERN}")
    image: bytes | ObjectRef
    match asked.Image.Bytes, asked.Image.S3Object:
        case bytes() as content, None:
            if len(content) > most_bytes:
                message = f"The image has {len(content)} bytes; at most {most_bytes} may be sent as bytes."
                return LabelsError("ImageTooLargeException", message, bad_image=True)
            image = content
        case None, _S3Object() as stored:
            image = ObjectRef(bucket=stored.Bucket, key=stored.Name, version_id=stored.Version)
        case _:
            return _violated("image", "Member must have just one of bytes and s3Object")
    return LabelRequest(version, image, Wish(asked.MinConfidence, asked.MaxResults))


def _named(error: ValidationError) -> LabelsError:
    """The first member that breaks a rule, by name."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(f"{part[:1].lower()}{part[1:]}" for part in first["loc"] if isinstance(part, str))
    if first["type"] == "missing":
        return _violated(where, "Member must not be null")
    return _violated(where, first["msg"])


def _violated(where: str, constraint: str) -> LabelsError:
    return _invalid(f"1 validation error detected: Value at '{where}' failed to satisfy constraint: {constraint}")


def _invalid(message: str) -> LabelsError:
    return LabelsError("InvalidParameterException", message)


def _internal(message: str) -> LabelsError:
    return LabelsError("InternalServerError", message, 500)


def _not_judged(error: NotJudged, arn: str) -> LabelsError:
    match error.cause:
        case InvalidCause.UNDECODABLE:
            return LabelsError("InvalidImageFormatException", f"The image is no PNG or JPEG: {error}.", bad_image=True)
        case InvalidCause.TOO_LARGE | InvalidCause.WRONG_SIZE:
            return LabelsError(
                "InvalidParameterException", f"The image's dimensions are not allowed: {error}.", bad_image=True
            )
        case InvalidCause.NO_MODEL:  # stopped while the image waited
            return not_ready(arn)
        case InvalidCause.OVERLOADED:
            message = "The model receives more images than its inference units can take."
            return LabelsError("ProvisionedThroughputExceededException", message)
        case _:
            return _internal("The image could not be analysed. Try again.")


def _members(body: bytes) -> dict[str, Any] | None:
    """The members of a body that breaks a rule; None where it is no JSON object."""
    try:
        members = from_json(body, allow_inf_nan=False)
    except ValueError:
        return None
    return members if isinstance(members, dict) else None


def _recorded(members: dict[str, Any]) -> dict[str, Any]:
    """The members without the image, of which its size is told."""
    image = members.get("Image")
    if isinstance(image, dict) and "Bytes" in image:
        content = image["Bytes"]
        size = f"({len(content.rstrip('=')) * 3 // 4} bytes)" if isinstance(content, str) else "(not text)"
        return {**members, "Image": {**image, "Bytes": size}}
    return members


def _size(content: bytes) -> str:
    return f"({len(content)} bytes)"


def _respond(status: int, content: Mapping[str, Any], headers: Mapping[str, str]) -> Response:
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return Response(body, status, headers=dict(headers), media_type=_JSON)
