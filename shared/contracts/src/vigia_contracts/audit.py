# ruff: noqa: N815  a record is spelled as CloudTrail spells it
"""Calls: who asked for what, when, from where, and what became of it. Key: the account's id.

``record`` is the CloudTrail record as clients know it; what stands beside it is for metrics. Neither holds a secret,
an image or a manifest, and both are bounded: who writes them cuts what is long and says so.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from vigia_contracts.base import Payload, UtcTime

CALL_RECORDED = "vigia.call.recorded.v1"

#: Event sources: the AWS protocols, and Vigia's own REST API.
LOOKOUT = "lookoutvision.amazonaws.com"
CUSTOM_LABELS = "rekognition.amazonaws.com"
STS = "sts.amazonaws.com"
VIGIA = "vigia"


class CallOutcome(StrEnum):
    SUCCESS = "success"
    CLIENT_ERROR = "client_error"  # the request was wrong, not allowed, or against the present state
    SERVER_ERROR = "server_error"
    THROTTLED = "throttled"


class SessionIssuer(Payload):
    """Whose session it is: the role."""

    type: str
    principalId: str
    arn: str
    accountId: str
    userName: str


class SessionContext(Payload):
    """What a session of a role tells beside its own name."""

    sessionIssuer: SessionIssuer
    attributes: dict[str, str] = Field(default_factory=dict)


class UserIdentity(Payload):
    """Who called. ``type``: Root, IAMUser or AssumedRole."""

    type: str
    principalId: str
    arn: str
    accountId: str
    accessKeyId: str
    userName: str | None = None
    sessionContext: SessionContext | None = None


class CloudTrailRecord(Payload):
    """One call as CloudTrail writes it down."""

    eventVersion: Literal["1.08"] = "1.08"
    userIdentity: UserIdentity
    eventTime: UtcTime = Field(description="when the call came, whole seconds")
    eventSource: str
    eventName: str
    awsRegion: str
    sourceIPAddress: str = Field(max_length=64)
    userAgent: str = Field(max_length=1024)
    errorCode: str | None = None
    errorMessage: str | None = Field(default=None, max_length=2048)
    requestParameters: dict[str, Any] | None = Field(default=None, description="lower camel case; long values are cut")
    responseElements: dict[str, Any] | None = Field(default=None, description="of calls that change something")
    requestID: str
    eventID: UUID
    readOnly: bool
    eventType: Literal["AwsApiCall"] = "AwsApiCall"
    managementEvent: bool = True
    recipientAccountId: str
    eventCategory: Literal["Management"] = "Management"


class Call(Payload):
    """One call. ``project`` and ``model_version`` are set only where they exist: metrics are counted by them."""

    account_id: str
    region: str
    called_at: UtcTime
    record: CloudTrailRecord
    outcome: CallOutcome
    project: str | None = None
    model_version: str | None = Field(default=None, description="its number")
    duration_ms: float = Field(ge=0, description="from the request's arrival to its answer")
    images_processed: int = Field(default=0, ge=0, description="images that a model judged")
    images_invalid: int = Field(default=0, ge=0, description="images that cannot be judged, whichever model is asked")
    anomalies: int = Field(default=0, ge=0, description="judged images that are anomalous")
