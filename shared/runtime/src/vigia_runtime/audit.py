"""Calls as CloudTrail writes them down: who asked for what, from where, and what became of it.

A door makes a ``Draft`` once it knows the caller and the operation, and ends it when it knows the answer; the event
goes to topic ``audit``. Nothing secret and nothing long gets in: see ``shown``.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from starlette.requests import Request

from vigia_contracts.audit import (
    CALL_RECORDED,
    Call,
    CallOutcome,
    CloudTrailRecord,
    SessionContext,
    SessionIssuer,
    UserIdentity,
)
from vigia_contracts.base import derived_id
from vigia_contracts.events import Event
from vigia_runtime.http import request_id
from vigia_runtime.redaction import HIDDEN, is_secret_name, scrub
from vigia_runtime.sigv4 import Credential

#: Characters of one text that are kept; of a longer one than ``_READ`` only its length is told.
_KEPT: Final = 1024
_READ: Final = 4096
#: Members of one list or structure that are kept, and how deep.
_MEMBERS: Final = 50
_DEPTH: Final = 8
#: Characters of all texts and names together.
_BUDGET: Final = 16 * 1024
_CUT: Final = "...(cut)"
#: Tokens that are no secrets: they repeat a request or continue a list, and only with a signature of their own.
_OPEN: Final = frozenset({"clientToken", "nextToken"})
#: What the protocols call it when somebody asks too often.
_THROTTLING: Final = frozenset({"Throttling", "ThrottlingException", "ProvisionedThroughputExceededException"})
_AGENT: Final = 512
_REGION: Final = 64


@dataclass(frozen=True, slots=True)
class Images:
    """What became of the images of a call."""

    processed: int = 0
    invalid: int = 0
    anomalies: int = 0


@dataclass(frozen=True, slots=True)
class Draft:
    """A call whose end is not known yet. ``began`` is of the monotonic clock."""

    credential: Credential
    region: str
    source: str
    name: str
    read_only: bool
    parameters: Mapping[str, Any]
    address: str
    agent: str
    request_id: str
    called_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    began: float = field(default_factory=time.monotonic)

    def ended(
        self,
        service: str,
        status: int,
        *,
        error: tuple[str, str] | None = None,
        response: Mapping[str, Any] | None = None,
        project: str | None = None,
        version: str | None = None,
        images: Images | None = None,
    ) -> Event:
        """The event of the call, answered with HTTP ``status`` and, where it failed, an error's code and message.

        ``project`` and ``version`` must exist, or be None: metrics are counted by them. ``service`` is who answered.
        """
        seen = images or Images()
        # Of the request: who ends a call twice, unsure whether the first end came through, writes one record.
        event_id = derived_id("call", self.request_id)
        account = self.credential.account_id
        code, message = error or (None, None)
        record = CloudTrailRecord(
            userIdentity=identity_of(self.credential),
            eventTime=self.called_at.replace(microsecond=0),
            eventSource=self.source,
            eventName=self.name,
            awsRegion=self.region,
            sourceIPAddress=self.address,
            userAgent=self.agent,
            errorCode=code,
            errorMessage=None if message is None else _text("", message),
            requestParameters=shown(self.parameters) or None,
            responseElements=None if response is None or self.read_only else shown(response) or None,
            requestID=self.request_id,
            eventID=event_id,
            readOnly=self.read_only,
            recipientAccountId=account,
        )
        call = Call(
            account_id=account,
            region=self.region,
            called_at=self.called_at,
            record=record,
            outcome=outcome_of(status, code),
            project=project,
            model_version=version,
            duration_ms=(time.monotonic() - self.began) * 1000,
            images_processed=seen.processed,
            images_invalid=seen.invalid,
            anomalies=seen.anomalies,
        )
        return Event(
            type=CALL_RECORDED,
            source=service,
            id=str(event_id),
            time=self.called_at,
            data=call,
            key=account,
            subject=None,
        )


def draft(
    request: Request,
    credential: Credential,
    *,
    region: str,
    source: str,
    name: str,
    read_only: bool,
    parameters: Mapping[str, Any],
) -> Draft:
    """A draft of what ``request`` asks for: operation ``name`` of ``source``, by the holder of ``credential``."""
    return Draft(
        credential=credential,
        region=clean(region)[:_REGION],
        source=source,
        name=name,
        read_only=read_only,
        parameters=parameters,
        address=address_of(request),
        agent=clean(request.headers.get("user-agent", ""))[:_AGENT],
        request_id=request_id(request),
    )


def outcome_of(status: int, code: str | None) -> CallOutcome:
    """What an HTTP status and an error's code mean to whoever counts calls: a limit of how much is no throttling."""
    if code in _THROTTLING:
        return CallOutcome.THROTTLED
    if status >= 500:
        return CallOutcome.SERVER_ERROR
    return CallOutcome.CLIENT_ERROR if status >= 400 else CallOutcome.SUCCESS


def is_read_only(operation: str) -> bool:
    """Whether an operation of the AWS protocols changes nothing, by its name."""
    return operation.startswith(("Describe", "List", "Detect"))


def address_of(request: Request) -> str:
    """Where the request came from: what the gateway says, else the other end of the connection.

    The gateway replaces what a client claims in the header; whoever reaches a service past it can claim anything.
    """
    claimed = request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
    peer = request.client.host if request.client is not None else ""
    for address in (claimed, peer):
        try:
            return str(ipaddress.ip_address(address))
        except ValueError:
            continue
    return "unknown"


def identity_of(credential: Credential) -> UserIdentity:
    """The caller as CloudTrail names it, read from its ARN."""
    account, arn = credential.account_id, credential.principal_arn
    resource = arn.rpartition(":")[2]
    kind, _, name = resource.partition("/")
    user: str | None = None
    context: SessionContext | None = None
    if kind == "root":
        spoken, principal = "Root", account
    elif kind == "assumed-role":
        role, _, session = name.partition("/")
        spoken, principal = "AssumedRole", credential.principal_id or f"{role}:{session}"
        own = principal.partition(":")[0]
        issuer = SessionIssuer(
            type="Role", principalId=own, arn=f"arn:aws:iam::{account}:role/{role}", accountId=account, userName=role
        )
        context = SessionContext(sessionIssuer=issuer, attributes={"mfaAuthenticated": "false"})
    else:
        user = (name or resource).rpartition("/")[2]
        spoken, principal = "IAMUser", credential.principal_id or user
    return UserIdentity(
        type=spoken,
        principalId=principal,
        arn=arn,
        accountId=account,
        accessKeyId=credential.access_key_id,
        userName=user,
        sessionContext=context,
    )


def shown(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """``parameters`` as they may be written down: names in lower camel case, secrets hidden, what is long cut and
    marked. Bytes become their number. The result is JSON and at most some 20,000 characters long."""
    found = _shown("", parameters, _Budget(_BUDGET), 0)
    assert isinstance(found, dict)
    return found


def lower_camel(name: str) -> str:
    """A member's name as CloudTrail spells it: ``projectName`` of ``ProjectName``."""
    return name[:1].lower() + name[1:]


def clean(text: str) -> str:
    """The text without what UTF-8 or Postgres cannot hold."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


@dataclass(slots=True)
class _Budget:
    left: int


def _shown(name: str, value: Any, budget: _Budget, depth: int) -> Any:
    if budget.left <= 0 or depth > _DEPTH:
        return _CUT
    budget.left -= len(name) + 4
    if isinstance(value, Mapping):
        return _structure(value, budget, depth)
    if name not in _OPEN and is_secret_name(name):
        return HIDDEN
    if isinstance(value, bytes):
        return f"({len(value)} bytes)"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return _list(value, budget, depth)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) < 2**63:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    text = _text(name, value if isinstance(value, str) else "(a number out of range)")
    budget.left -= len(text)
    return text


def _structure(value: Mapping[Any, Any], budget: _Budget, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, (key, item) in enumerate(value.items()):
        if number == _MEMBERS or budget.left <= 0:
            found[_CUT] = f"{len(value) - number} members"
            break
        spelled = lower_camel(clean(str(key)[:128]))
        # What came first stays: nobody may write over what the path says with another spelling of it.
        found.setdefault(
            spelled if spelled not in found else clean(str(key)[:128]), _shown(spelled, item, budget, depth + 1)
        )
    return found


def _list(value: Sequence[Any], budget: _Budget, depth: int) -> list[Any]:
    found: list[Any] = []
    for number, item in enumerate(value):
        if number == _MEMBERS or budget.left <= 0:
            found.append(f"{_CUT} {len(value) - number} members")
            break
        found.append(_shown("", item, budget, depth + 1))
    return found


def _text(name: str, value: str) -> str:
    # Scrubbed before it is cut: half of an address with a password would no longer look like one.
    if len(value) > _READ:
        return f"({len(value)} characters)"
    text = clean(value if name in _OPEN else scrub(value))
    return text if len(text) <= _KEPT else f"{text[:_KEPT]}{_CUT} {len(text)} characters"
