"""The protocol's one endpoint: who asks, for which operation, may they, and the answer or the error."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from vigia_registry.bootstrap import Deps
from vigia_registry.db import passing_faults
from vigia_registry.http.lookoutvision import validation
from vigia_registry.http.lookoutvision.call import Call
from vigia_registry.http.lookoutvision.errors import SERVICE, Failure, internal, translate
from vigia_registry.http.lookoutvision.operations import BASE, find
from vigia_registry.identity.domain import Owner
from vigia_registry.models.domain import model_arn
from vigia_registry.pagination import Pages
from vigia_registry.projects.domain import project_arn
from vigia_registry.rates import RateLimiter
from vigia_runtime.errors import AccessDenied, AppError, InvalidInput, Transient
from vigia_runtime.http import read_body, request_id
from vigia_runtime.logging import get_logger
from vigia_runtime.signin import Credential, CredentialSource, allows, region_of, signed_request
from vigia_runtime.sigv4 import verify

log = get_logger(__name__)

_METHODS: Final = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def create_router(deps: Deps, credentials: CredentialSource) -> APIRouter:
    """Everything below ``/2020-11-20``."""
    pages = Pages(deps.settings.secret_key.get_secret_value())
    rates = RateLimiter(deps.settings.rates)
    router = APIRouter(include_in_schema=False)

    async def endpoint(request: Request) -> Response:
        try:
            with passing_faults():
                return await _answer(request, deps, credentials, pages, rates)
        except AppError as error:
            return _failed(request, translate(error))
        except Transient as error:
            log.warning("a dependency does not answer", detail=error.detail)
            return _failed(request, internal())
        # A process boundary: a bug must reach clients in the protocol's shape, and nothing of it but that it happened.
        except Exception as error:
            log.error("request failed", exc_info=error)
            return _failed(request, internal())

    router.add_api_route(f"{BASE}/{{rest:path}}", endpoint, methods=_METHODS)
    return router


async def _answer(
    request: Request, deps: Deps, credentials: CredentialSource, pages: Pages, rates: RateLimiter
) -> Response:
    body = await read_body(request, deps.settings.http.max_body_bytes)
    signed = signed_request(request, body)
    caller = await verify(signed, credentials.credential, datetime.now(UTC), service=SERVICE)
    owner = Owner(caller.account_id, validation.region(region_of(request, deps.settings.bootstrap.region)))
    operation, handler, path = find(request.method, signed.path)
    # What metrics count by.
    request.scope["route"] = operation
    rates.take(owner.account_id, SERVICE, operation.name)
    call = Call(
        deps=deps,
        pages=pages,
        operation=operation.name,
        owner=owner,
        path=path,
        query=request.query_params,
        body=_json(body),
        token=validation.client_token(request.headers.get("x-amzn-client-token")),
    )
    _authorize(caller, call)
    return _respond(request, operation.status, await handler(call))


def _authorize(caller: Credential, call: Call) -> None:
    action = f"{SERVICE}:{call.operation}"
    if not allows(caller, action):
        raise AccessDenied(
            "access_denied",
            f"User: {caller.principal_arn} is not authorized to perform: {action} on resource: {_resource(call)}",
        )


def _resource(call: Call) -> str:
    if "resourceArn" in call.path:
        return call.path["resourceArn"]
    name = call.path.get("projectName") or call.body.get("ProjectName")
    if name is None:
        return "*"
    version = call.path.get("modelVersion")
    if version is None:
        return project_arn(call.owner.region, call.owner.account_id, str(name))
    return model_arn(call.owner.region, call.owner.account_id, str(name), version)


def _json(body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise InvalidInput("not_json", "The request body is not a JSON object.")
    return content


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
