"""The protocol's one endpoint, ``POST /``."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

from vigia_contracts.audit import CUSTOM_LABELS
from vigia_registry.audit.journal import Journal
from vigia_registry.bootstrap import Deps
from vigia_registry.http.customlabels import access
from vigia_registry.http.customlabels.call import Call
from vigia_registry.http.customlabels.errors import SERVICE, internal, translate
from vigia_registry.http.customlabels.operations import TARGET, Operation, find
from vigia_registry.http.endpoint import Access, Asked, Endpoint, Failure
from vigia_registry.http.members import region as checked_region
from vigia_registry.identity.domain import Owner, Service
from vigia_registry.objects import rights_of
from vigia_runtime.audit import draft, is_read_only
from vigia_runtime.errors import AppError
from vigia_runtime.http import Body
from vigia_runtime.signin import CredentialSource

#: Names that a request says something about, wherever they stand in an ARN or a member.
_NAMED: Final = re.compile(r":project/(?P<project>[^/]+)(/version/(?P<version>[^/]+))?/")


class NamedOperations(Route):
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


class CustomLabelsEndpoint(Endpoint[Call]):
    """Custom Labels: an operation goes by a header."""

    service = SERVICE
    media_type = "application/x-amz-json-1.1"

    def find(self, request: Request, body: Body) -> tuple[Operation, Mapping[str, str]]:
        return find(request.headers.get("x-amz-target", "")), {}

    def journal(self, asked: Asked[Call]) -> Journal:
        record = draft(
            asked.request,
            asked.caller,
            region=asked.region,
            source=CUSTOM_LABELS,
            name=asked.operation.name,
            read_only=is_read_only(asked.operation.name),
            parameters=_parameters(asked.members),
        )
        own = f"arn:aws:{SERVICE}:{asked.region}:{asked.caller.account_id}:"
        project, version = _named(asked.members, own)
        return Journal(self.deps, record, project, version, service=Service.CUSTOM_LABELS)

    def call(self, asked: Asked[Call], journal: Journal | None) -> Call:
        """With the caller, whose rights decide about other projects, too."""
        assert journal is not None
        return Call(
            deps=self.deps,
            pages=self.pages,
            operation=asked.operation.name,
            journal=journal,
            caller=asked.caller,
            owner=Owner(asked.caller.account_id, checked_region(asked.region), Service.CUSTOM_LABELS),
            rights=rights_of(self.deps.settings, asked.caller),
            body=asked.members,
        )

    async def wanted(self, call: Call) -> list[Access]:
        return await access.wanted(call)

    def translate(self, error: AppError) -> Failure:
        return translate(error)

    def internal(self) -> Failure:
        return internal()

    def told(self, failure: Failure) -> dict[str, Any]:
        return {"__type": failure.name, "message": failure.message}


def create_route(deps: Deps, credentials: CredentialSource) -> NamedOperations:
    """``POST /`` of this protocol."""
    return NamedOperations(CustomLabelsEndpoint(deps, credentials).respond)


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
