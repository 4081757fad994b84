"""The protocol's one endpoint: ``POST /``, told from others by what the request is signed for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from vigia_contracts.audit import STS
from vigia_registry.audit.journal import Journal
from vigia_registry.bootstrap import Deps
from vigia_registry.db import passing_faults
from vigia_registry.http.sts import answers, forms
from vigia_registry.http.sts.operations import OPERATIONS, Call
from vigia_registry.identity.domain import Vault
from vigia_registry.rates import RateLimiter
from vigia_runtime.audit import draft
from vigia_runtime.errors import AppError, Transient
from vigia_runtime.http import read_body
from vigia_runtime.logging import get_logger
from vigia_runtime.signin import Authenticator, Credential, CredentialSource, region_of

log = get_logger(__name__)

SERVICE: Final = "sts"
VERSION: Final = "2011-06-15"
_MOST_BYTES: Final = 64 * 1024


def create_router(deps: Deps, credentials: CredentialSource, vault: Vault) -> APIRouter:
    """The endpoint."""
    authenticator, rates = Authenticator(credentials), RateLimiter(deps.settings.rates)
    router = APIRouter(include_in_schema=False)

    @router.post("/")
    async def endpoint(request: Request) -> Response:
        try:
            with passing_faults():
                return await _answer(request, deps, authenticator, vault, rates)
        # A process boundary: a bug must reach clients in the protocol's shape, and nothing of it but that it happened.
        except Exception as error:
            if isinstance(error, Transient):
                log.warning("a dependency does not answer", detail=error.detail)
            elif not isinstance(error, AppError):
                log.error("request failed", exc_info=error)
            failure = answers.told(error)
            journal: Journal | None = getattr(request.state, "journal", None)
            if journal is not None:
                await journal.failed(failure.status, failure.code, failure.message)
            return answers.failed(request, failure)

    return router


async def _answer(
    request: Request, deps: Deps, authenticator: Authenticator, vault: Vault, rates: RateLimiter
) -> Response:
    body = await read_body(request, _MOST_BYTES)
    caller = await authenticator.verify(request, body, SERVICE)
    fields = forms.parse(body)
    action, version = fields.get("Action", ""), fields.get("Version", "")
    operation = OPERATIONS.get(action)
    if operation is None or version != VERSION:
        raise answers.InvalidActionError(action, version)
    journal = request.state.journal = _journal(request, deps, caller, action, fields)
    rates.take(caller.account_id, SERVICE, action)
    call = Call(journal=journal, vault=vault, caller=caller, fields=fields)
    result = await operation(call)
    await journal.succeeded(200)
    return answers.answered(request, action, result)


def _journal(request: Request, deps: Deps, caller: Credential, action: str, fields: Mapping[str, str]) -> Journal:
    """The record of the call; CloudTrail calls all of these read-only. What was issued is in none."""
    asked = draft(
        request,
        caller,
        region=region_of(request, deps.settings.bootstrap.region),
        source=STS,
        name=action,
        read_only=True,
        parameters={name: value for name, value in fields.items() if name not in ("Action", "Version")},
    )
    return Journal(deps, asked)
