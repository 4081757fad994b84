"""The protocol's one endpoint, ``POST /``: who asks, for which operation, may they, and the answer or the error."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

from vigia_contracts.audit import CUSTOM_LABELS
from vigia_registry.audit.journal import Journal
from vigia_registry.bootstrap import Deps
from vigia_registry.db import passing_faults
from vigia_registry.http.bodies import DEEPEST, deeper, members_of
from vigia_registry.http.customlabels import access
from vigia_registry.http.customlabels.call import Call
from vigia_registry.http.customlabels.errors import SERVICE, Failure, internal, translate
from vigia_registry.http.customlabels.operations import TARGET, find
from vigia_registry.http.members import region as checked_region
from vigia_registry.identity.domain import Owner, Service
from vigia_registry.objects import rights_of
from vigia_registry.pagination import Pages
from vigia_registry.rates import RateLimiter
from vigia_runtime.audit import draft, is_read_only
from vigia_runtime.errors import AppError, InvalidInput, Transient
from vigia_runtime.http import receive_body, request_id
from vigia_runtime.logging import get_logger
from vigia_runtime.policies import authorize
from vigia_runtime.signin import Authenticator, Credential, CredentialSource, region_of

log = get_logger(__name__)

_JSON: Final = "application/x-amz-json-1.1"
#: Names that a request says something about, wherever they stand in an ARN or a member.
_NAMED: Final = re.compile(r":project/(?P<project>[^/]+)(/version/(?P<version>[^/]+))?/")


@dataclass(frozen=True, slots=True)
class _Counted:
    path: str


class Endpoint(Route):
    """``POST /`` of requests that name an operation of Rekognition, or are signed for it.

    STS shares the path; what it is asked for stands in the body.
    """

    def __init__(self, endpoint: Callable[[Request], Awaitable[Response]]) -> None:
        super().__init__("/", endpoint, methods=["POST"])

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether a request is for this protocol."""
        if scope["type"] == "http" and scope["path"] == "/" and scope["method"] == "POST":
            headers = Headers(scope=scope)
            signed = f"/{SERVICE}/aws4_request" in headers.get("authorization", "")
            if signed or headers.get("x-amz-target", "").startswith(TARGET):
                return Match.FULL, {"endpoint": self.endpoint, "path_params": {}, "route": self}
        return Match.NONE, {}


def create_route(deps: Deps, credentials: CredentialSource) -> Endpoint:
    """The endpoint."""
    pages = Pages(deps.settings.secret_key.get_secret_value())
    rates = RateLimiter(deps.settings.rates)
    authenticator = Authenticator(credentials)

    async def endpoint(request: Request) -> Response:
        try:
            with passing_faults():
                return await _answer(request, deps, authenticator, pages, rates)
        # A process boundary: a bug must reach clients in the protocol's shape, and nothing of it but that it happened.
        except Exception as error:  # noqa: BLE001 - logged where it is no error of the caller's
            failure = _failure(error)
            journal: Journal | None = getattr(request.state, "journal", None)
            if journal is not None:
                await journal.failed(failure.status, failure.name, failure.message)
            return _failed(request, failure)

    return Endpoint(endpoint)


async def _answer(
    request: Request, deps: Deps, authenticator: Authenticator, pages: Pages, rates: RateLimiter
) -> Response:
    body = await receive_body(request, deps.settings.http.max_body_bytes)
    caller = await authenticator.verify(request, body, SERVICE)
    region = region_of(request, deps.settings.bootstrap.region)
    operation, handler = find(request.headers.get("x-amz-target", ""))
    # What metrics count by.
    request.scope["route"] = _Counted(f"/{operation}")
    members = members_of(body.data)
    journal = request.state.journal = _journal(request, deps, caller, region, operation, members or {})
    rates.take(caller.account_id, SERVICE, operation)
    body.whole()
    if members is None:
        raise InvalidInput("not_json", "The request body is not a JSON object.")
    if deeper(members, DEEPEST):
        raise InvalidInput("too_deep", f"The request body nests more than {DEEPEST} deep.")
    call = Call(
        deps=deps,
        pages=pages,
        operation=operation,
        journal=journal,
        caller=caller,
        owner=Owner(caller.account_id, checked_region(region), Service.CUSTOM_LABELS),
        rights=rights_of(deps.settings, caller),
        body=members,
    )
    for asked in await access.wanted(call):
        authorize(caller, asked.action, asked.resource, asked.context)
    answer = await handler(call)
    await journal.succeeded(200)
    return _respond(request, 200, answer)


def _failure(error: Exception) -> Failure:
    """What the caller learns of ``error``."""
    if isinstance(error, AppError):
        return translate(error)
    if isinstance(error, Transient):
        log.warning("a dependency does not answer", detail=error.detail)
    else:
        log.error("request failed", exc_info=error)
    return internal()


def _journal(
    request: Request, deps: Deps, caller: Credential, region: str, operation: str, members: Mapping[str, Any]
) -> Journal:
    asked = draft(
        request,
        caller,
        region=region,
        source=CUSTOM_LABELS,
        name=operation,
        read_only=is_read_only(operation),
        parameters=_parameters(members),
    )
    project, version = _named(members, f"arn:aws:{SERVICE}:{region}:{caller.account_id}:")
    return Journal(deps, asked, project, version, service=Service.CUSTOM_LABELS)


def _named(members: Mapping[str, Any], own: str) -> tuple[str | None, str | None]:
    """Project and version of the caller's that a request names, be it by an ARN."""
    for member in ("ProjectVersionArn", "ProjectArn", "DatasetArn", "ResourceArn", "DestinationProjectArn"):
        arn = members.get(member)
        if isinstance(arn, str) and arn.startswith(own) and (found := _NAMED.search(arn)) is not None:
            version = found["version"] or members.get("VersionName")
            return found["project"], version if isinstance(version, str) else None
    name = members.get("ProjectName")
    return name if isinstance(name, str) else None, None


def _parameters(members: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked for, spelled as records spell it. A manifest is told by its size."""
    found = {name[:1].lower() + name[1:]: value for name, value in members.items()}
    changes = found.get("changes")
    if changes is not None:
        blob = changes.get("GroundTruth") if isinstance(changes, dict) else None
        found["changes"] = f"({len(blob) * 3 // 4} bytes)" if isinstance(blob, str) else "(not text)"
    return found


def _failed(request: Request, failure: Failure) -> Response:
    body = {"__type": failure.name, "message": failure.message}
    return _respond(request, failure.status, body, {"x-amzn-errortype": failure.name})


def _respond(
    request: Request, status: int, content: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> Response:
    return Response(
        json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"),
        status,
        headers={"x-amzn-requestid": request_id(request), **(headers or {})},
        media_type=_JSON,
    )
