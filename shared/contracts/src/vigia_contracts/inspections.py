"""Inspections: what was decided about one frame, and why."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

from pydantic import Field, model_validator

from vigia_contracts.base import ObjectRef, Payload, UtcTime

INSPECTION_DECIDED = "vigia.inspection.decided.v1"


class Verdict(StrEnum):
    """What happens to the part. INVALID is not a judgement: nobody looked."""

    PASS = "PASS"  # noqa: S105 - a verdict, not a password
    REJECT = "REJECT"
    REVIEW = "REVIEW"
    INVALID = "INVALID"


class InvalidCause(StrEnum):
    """Why a frame could not be judged."""

    LATE = "late"  # decided after the camera's budget
    EXPIRED = "expired"  # the frame or its object was gone before it could be read
    UNDECODABLE = "undecodable"  # truncated, empty or not an image
    TOO_LARGE = "too_large"  # more bytes or pixels than allowed
    WRONG_SIZE = "wrong_size"  # width and height are not those of the model
    UNKNOWN_CAMERA = "unknown_camera"
    NO_MODEL = "no_model"  # no model version is hosted for the camera
    MODEL_ERROR = "model_error"  # the model server answered with an error
    OVERLOADED = "overloaded"  # the model server refused because its queue was full
    BAD_MESSAGE = "bad_message"  # headers or body break the contract
    BAD_TIME = "bad_time"  # the stated capture time is impossible


class Origin(StrEnum):
    """Which door the image came in by."""

    CAMERA = "camera"
    API = "api"


class LabelArea(Payload):
    """One anomaly label found in the image. ``area`` is a share of the image's pixels, 0 to 1."""

    name: str
    area: float = Field(ge=0, le=1)
    color: str = Field(pattern=r"^#[0-9A-Fa-f]{6}$")


class Evidence(Payload):
    """What was kept to show the decision by."""

    image: ObjectRef | None = None
    mask: ObjectRef | None = None


class Inspection(Payload):
    """The outcome of one frame. Exactly one deciding inspection exists per frame."""

    inspection_id: UUID
    frame_id: str
    frame_source: str
    origin: Origin = Origin.CAMERA
    shadow: bool = False

    account_id: str
    camera_id: str | None = None
    line_id: str | None = None
    station: str | None = None
    product: str | None = None
    part_id: str | None = None
    project: str | None = None
    model_arn: str | None = None
    model_version: str | None = None

    verdict: Verdict
    cause: InvalidCause | None = None
    detail: str | None = Field(default=None, max_length=1000)
    is_anomalous: bool | None = None
    confidence: float | None = Field(default=None, ge=0, le=1, description="confidence in the predicted class")
    score: float | None = Field(default=None, description="raw anomaly score of the model")
    threshold: float | None = Field(default=None, description="score from which a part is anomalous")
    threshold_id: str | None = None
    labels: list[LabelArea] = Field(default_factory=list, description="anomaly labels, without background")
    width: int | None = Field(default=None, description="pixels")
    height: int | None = Field(default=None, description="pixels")
    evidence: Evidence = Evidence()

    captured_at: UtcTime
    received_at: UtcTime
    decided_at: UtcTime
    timings: dict[str, float] = Field(
        default_factory=dict,
        description="seconds per stage: queue (broker to worker), fetch, decode, infer, interpret, evidence, total",
    )

    @model_validator(mode="after")
    def _cause_belongs_to_invalid(self) -> Inspection:
        if (self.verdict is Verdict.INVALID) != (self.cause is not None):
            raise ValueError("INVALID has a cause and nothing else has one")
        if self.verdict is not Verdict.INVALID and self.is_anomalous is None:
            raise ValueError("a judged frame says whether it is anomalous")
        return self
