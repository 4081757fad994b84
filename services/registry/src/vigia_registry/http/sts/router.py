"""The protocol's one endpoint: ``POST /``, told from others by what the request is signed for."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from vigia_registry.bootstrap import Deps
from vigia_registry.db import passing_faults
from vigia_registry.http.sts import answers, forms
from vigia_registry.http.sts.operations import OPERATIONS, Call
from vigia_registry.identity.domain import Vault
from vigia_runtime.errors import AppError, Transient
from vigia_runtime.http import read_body
from vigia_runtime.logging import get_logger
from vigia_runtime.signin import Authenticator, CredentialSource

log = get_logger(__name__)

SERVICE: Final = "sts"
VERSION: Final = "2011-06-15"
_MOST_BYTES: Final = 64 * 1024


def create_router(deps: Deps, credentials: CredentialSource, vault: Vault) -> APIRouter:
    """The endpoint."""
    authenticator = Authenticator(credentials)
    router = APIRouter(include_in_schema=False)

    @router.post("/")
    async def endpoint(request: Request) -> Response:
        try:
            with passing_faults():
                return await _answer(request, deps, authenticator, vault)
        except AppError as error:
            return answers.failed(request, error)
        except Transient as error:
            log.warning("a dependency does not answer", detail=error.detail)
            return answers.unavailable(request)
        # A process boundary: a bug must reach clients in the protocol's shape, and nothing of it but that it happened.
        except Exception as error:
            log.error("request failed", exc_info=error)
            return answers.internal(request)

    return router


async def _answer(request: Request, deps: Deps, authenticator: Authenticator, vault: Vault) -> Response:
    body = await read_body(request, _MOST_BYTES)
    caller = await authenticator.verify(request, body, SERVICE)
    fields = forms.parse(body)
    action, version = fields.get("Action", ""), fields.get("Version", "")
    operation = OPERATIONS.get(action)
    if operation is None or version != VERSION:
        raise answers.InvalidActionError(action, version)
    call = Call(database=deps.database, vault=vault, caller=caller, fields=fields)
    return answers.answered(request, action, await operation(call))
