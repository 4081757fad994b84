"""The protocol's one endpoint: who asks, for which operation, may they, and the answer or the error."""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

from vigia_contracts.audit import LOOKOUT
from vigia_registry.audit.journal import Journal
from vigia_registry.bootstrap import Deps
from vigia_registry.db import passing_faults
from vigia_registry.http.bodies import DEEPEST, deeper, members_of
from vigia_registry.http.lookoutvision import access, validation
from vigia_registry.http.lookoutvision.call import Call
from vigia_registry.http.lookoutvision.errors import SERVICE, Failure, internal, translate
from vigia_registry.http.lookoutvision.operations import BASE, Operation, find
from vigia_registry.http.members import region as checked_region
from vigia_registry.identity.domain import Owner
from vigia_registry.objects import rights_of
from vigia_registry.pagination import Pages
from vigia_registry.rates import RateLimiter
from vigia_runtime.audit import draft, is_read_only
from vigia_runtime.errors import AppError, InvalidInput, Transient
from vigia_runtime.http import receive_body, request_id
from vigia_runtime.logging import get_logger
from vigia_runtime.policies import authorize
from vigia_runtime.signin import (
    INTERNAL_HEADER,
    Authenticator,
    Credential,
    CredentialSource,
    region_of,
    signed_request,
)

log = get_logger(__name__)

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


def create_route(deps: Deps, credentials: CredentialSource) -> Everything:
    """Everything below ``/2020-11-20``."""
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
            journal = _journal_of(request)
            if journal is not None:
                await journal.failed(failure.status, failure.name, str(failure.body["Message"]))
            return _failed(request, failure)

    return Everything(endpoint)


async def _answer(
    request: Request, deps: Deps, authenticator: Authenticator, pages: Pages, rates: RateLimiter
) -> Response:
    body = await receive_body(request, deps.settings.http.max_body_bytes)
    caller = await authenticator.verify(request, body, SERVICE)
    region = region_of(request, deps.settings.bootstrap.region)
    operation, path = find(request.method, signed_request(request, body).path)
    # What metrics count by.
    request.scope["route"] = operation
    members = members_of(body.data)
    journal = None
    if not _asked_by_a_service(request, deps):
        journal = request.state.journal = _journal(request, deps, caller, region, operation, path, members or {})
    handler = operation.served()
    rates.take(caller.account_id, SERVICE, operation.name)
    body.whole()
    if members is None:
        raise InvalidInput("not_json", "The request body is not a JSON object.")
    if deeper(members, DEEPEST):
        raise InvalidInput("too_deep", f"The request body nests more than {DEEPEST} deep.")
    call = Call(
        deps=deps,
        pages=pages,
        operation=operation.name,
        status=operation.status,
        journal=journal,
        owner=Owner(caller.account_id, checked_region(region)),
        rights=rights_of(deps.settings, caller),
        path=path,
        query=request.query_params,
        body=members,
        token=validation.client_token(request.headers.get("x-amzn-client-token")),
    )
    asked = await access.wanted(call)
    authorize(caller, asked.action, asked.resource, asked.context)
    answer = await handler(call)
    if journal is not None:
        await journal.succeeded(operation.status)
    return _respond(request, operation.status, answer)


def _failure(error: Exception) -> Failure:
    """What the caller learns of ``error``."""
    if isinstance(error, AppError):
        return translate(error)
    if isinstance(error, Transient):
        log.warning("a dependency does not answer", detail=error.detail)
    else:
        log.error("request failed", exc_info=error)
    return internal()


def _asked_by_a_service(request: Request, deps: Deps) -> bool:
    """Whether another service of Vigia asks, in a caller's name, what the caller did not: then nothing is recorded."""
    token = request.headers.get(INTERNAL_HEADER, "")
    return hmac.compare_digest(token.encode(), deps.settings.internal_token.get_secret_value().encode())


def _journal(
    request: Request,
    deps: Deps,
    caller: Credential,
    region: str,
    operation: Operation,
    path: Mapping[str, str],
    members: Mapping[str, Any],
) -> Journal:
    asked = draft(
        request,
        caller,
        region=region,
        source=LOOKOUT,
        name=operation.name,
        read_only=is_read_only(operation.name),
        parameters=_parameters(request, path, members),
    )
    project, version = _named(caller, region, path, members)
    return Journal(deps, asked, project, version)


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


def _journal_of(request: Request) -> Journal | None:
    """The record that was begun for the request: none before the caller and the operation are known."""
    found: Journal | None = getattr(request.state, "journal", None)
    return found


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


def _failed(request: Request, failure: Failure) -> Response:
    return _respond(request, failure.status, failure.body, {"x-amzn-errortype": failure.name, **failure.headers})


def _respond(
    request: Request, status: int, content: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> Response:
    return Response(
        json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"),
        status,
        headers={"x-amzn-requestid": request_id(request), **(headers or {})},
        media_type="application/json",
    )
