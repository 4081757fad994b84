"""The protocol's one endpoint: everything below ``/2020-11-20``."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

from vigia_contracts.audit import LOOKOUT
from vigia_registry.audit.journal import Journal
from vigia_registry.bootstrap import Deps
from vigia_registry.http.endpoint import Access, Asked, Endpoint, Failure
from vigia_registry.http.lookoutvision import access, validation
from vigia_registry.http.lookoutvision.call import Call
from vigia_registry.http.lookoutvision.errors import SERVICE, internal, translate
from vigia_registry.http.lookoutvision.operations import BASE, Operation, find
from vigia_registry.http.members import region as checked_region
from vigia_registry.identity.domain import Owner
from vigia_registry.objects import rights_of
from vigia_runtime.audit import draft, is_read_only
from vigia_runtime.errors import AppError
from vigia_runtime.http import Body
from vigia_runtime.signin import INTERNAL_HEADER, Credential, CredentialSource, signed_request

#: The member that carries a manifest: UpdateDatasetEntries.
_BLOB: Final = "Changes"
#: Operations of these methods have members in their body; others go by path and query, whatever body comes with them.
_WITH_BODY: Final = frozenset({"POST", "PATCH"})


class Everything(Route):
    """Every method and every path below ``/2020-11-20``.

    What the framework answers by itself to a method or a path that it does not know (line breaks, for one), clients of
    the protocol cannot read.
    """

    def __init__(self, endpoint: Callable[[Request], Awaitable[Response]]) -> None:
        super().__init__(f"{BASE}/{{rest:path}}", endpoint)
        self.methods = None

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether a request is for this protocol."""
        if scope["type"] == "http" and f"{scope['path']}/".startswith(f"{BASE}/"):
            return Match.FULL, {"endpoint": self.endpoint, "path_params": {}, "route": self}
        return Match.NONE, {}


class LookoutEndpoint(Endpoint[Call]):
    """Lookout for Vision: an operation goes by method and path."""

    service = SERVICE
    media_type = "application/json"

    def find(self, request: Request, body: Body) -> tuple[Operation, Mapping[str, str]]:
        return find(request.method, signed_request(request, body).path)

    def journal(self, asked: Asked[Call]) -> Journal | None:
        """None where a service of ours asks."""
        if _asked_by_a_service(asked.request, self.deps):
            return None
        record = draft(
            asked.request,
            asked.caller,
            region=asked.region,
            source=LOOKOUT,
            name=asked.operation.name,
            read_only=is_read_only(asked.operation.name),
            parameters=_parameters(asked.request, asked.path, asked.members),
        )
        project, version = _named(asked.caller, asked.region, asked.path, asked.members)
        return Journal(self.deps, record, project, version)

    def call(self, asked: Asked[Call], journal: Journal | None) -> Call:
        return Call(
            deps=self.deps,
            pages=self.pages,
            operation=asked.operation.name,
            status=asked.operation.status,
            journal=journal,
            owner=Owner(asked.caller.account_id, checked_region(asked.region)),
            rights=rights_of(self.deps.settings, asked.caller),
            path=asked.path,
            query=asked.request.query_params,
            body=asked.members,
            token=validation.client_token(asked.request.headers.get("x-amzn-client-token")),
        )

    async def wanted(self, call: Call) -> list[Access]:
        return [await access.wanted(call)]

    def translate(self, error: AppError) -> Failure:
        return translate(error)

    def internal(self) -> Failure:
        return internal()

    def told(self, failure: Failure) -> dict[str, Any]:
        return {"Message": failure.message, **failure.more}


def create_route(deps: Deps, credentials: CredentialSource) -> Everything:
    """Everything below ``/2020-11-20``."""
    return Everything(LookoutEndpoint(deps, credentials).respond)


def _asked_by_a_service(request: Request, deps: Deps) -> bool:
    """Whether another service of Vigia asks, in a caller's name, what the caller did not: then nothing is recorded."""
    token = request.headers.get(INTERNAL_HEADER, "")
    return hmac.compare_digest(token.encode(), deps.settings.internal_token.get_secret_value().encode())


def _named(
    caller: Credential, region: str, path: Mapping[str, str], members: Mapping[str, Any]
) -> tuple[str | None, str | None]:
    """Project and version that a request names, be it by their ARN."""
    arn = path.get("resourceArn")
    if arn is not None:
        own = f"arn:aws:{SERVICE}:{region}:{caller.account_id}:"
        _, project, version, *_ = (*arn.removeprefix(own).split("/"), "", "") if arn.startswith(own) else ("", "", "")
        return project or None, version or None
    name = path.get("projectName", members.get("ProjectName"))
    return name if isinstance(name, str) else None, path.get("modelVersion")


def _parameters(request: Request, path: Mapping[str, str], body: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked for, from wherever it stands in the request; what the operation goes by comes first, and nothing
    replaces it. A manifest is told by its size."""
    found: dict[str, Any] = dict(path)
    token = request.headers.get("x-amzn-client-token")
    if token is not None:
        found["clientToken"] = token
    lists = {name: request.query_params.getlist(name) for name in request.query_params}
    query = {name: values if len(values) > 1 else values[0] for name, values in lists.items()}
    # Members begin with a capital: only those are looked at.
    members = {name: body[name] for name in sorted(body, key=lambda name: name[:1].islower())}
    first, second = (members, query) if request.method in _WITH_BODY else (query, members)
    for name, value in (*first.items(), *second.items()):
        found.setdefault(name, value)
    changes = found.get(_BLOB)
    if changes is not None:
        found[_BLOB] = f"({len(changes) * 3 // 4} bytes)" if isinstance(changes, str) else "(not text)"
    return found
