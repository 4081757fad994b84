"""Routes that change something leave an audit record, as calls of the AWS protocols do.

Trial detection was the console's, and CloudTrail has its calls as the service's own: they are recorded as that, those
that read too.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any, Final

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive

from vigia_contracts.audit import LOOKOUT, VIGIA
from vigia_registry.audit.journal import Journal
from vigia_registry.bootstrap import Deps
from vigia_registry.db import passing_faults
from vigia_runtime.audit import draft
from vigia_runtime.errors import AppError, Transient
from vigia_runtime.http import receive_body, status_of
from vigia_runtime.signin import Authenticator, Credential, region_of

#: What requests of this API are signed for.
SERVICE: Final = "vigia"
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_TRIALS: Final = frozenset({"StartTrialDetection", "ListTrialDetection", "DescribeTrialDetection"})


class AuditedRoute(APIRoute):
    """A route whose calls are recorded, where they change something (or read a trial) and come from a known caller.

    The record is named by the route (``name="CreateLine"``) and committed with the change, by ``Door.change``. A call
    that changed nothing has it in a transaction of its own, before it is answered. Where the record cannot be written
    nothing is changed, and the answer is a failure, 503 or 500: repeat it.
    """

    #: Set by ``audited``.
    deps: Deps
    authenticator: Authenticator

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def recorded(request: Request) -> Response:
            if request.method in _READING and event_name(self) not in _TRIALS:
                return await answer(request)
            body = await receive_body(request, self.deps.settings.http.max_body_bytes)
            came = datetime.now(UTC), time.monotonic()
            begin = request.state.journal = cache(partial(self._journal, request, body.data, *came))
            try:
                if body.fault is not None:
                    request.state.credential = await self.authenticator.authenticate(request, body, SERVICE)
                    raise body.fault
                response = await answer(Request(request.scope, _replay(body.data)))
            except Exception as error:
                journal = begin()
                if journal is not None:
                    await journal.failed(*_told(error))
                raise
            journal = begin()
            if journal is not None:
                with passing_faults():
                    await journal.succeeded(response.status_code)
            return response

        return recorded

    def _journal(self, request: Request, body: bytes, called_at: datetime, began: float) -> Journal | None:
        caller: Credential | None = getattr(request.state, "credential", None)
        if caller is None:
            return None
        name = event_name(self)
        # The path is first and stays: it says what is done, whatever else the request names.
        path = request.path_params
        parameters = {**path, **request.query_params, **_members(body), **path}
        asked = draft(
            request,
            caller,
            region=region_of(request, self.deps.settings.bootstrap.region),
            source=LOOKOUT if name in _TRIALS else VIGIA,
            name=name,
            read_only=request.method in _READING,
            parameters=parameters,
        )
        project = parameters.get("project")
        asked = replace(asked, called_at=called_at, began=began)
        return Journal(self.deps, asked, project if isinstance(project, str) else None)


def audited(deps: Deps, authenticator: Authenticator) -> type[APIRoute]:
    """The route class of routers over ``deps``."""
    return type("AuditedRoute", (AuditedRoute,), {"deps": deps, "authenticator": authenticator})


def journal_of(request: Request) -> Journal:
    """The record of a call of such a route, once its caller is known."""
    journal: Journal | None = request.state.journal()
    assert journal is not None
    return journal


def event_name(route: APIRoute) -> str:
    """What a record of the route is called: its name, words run together."""
    return "".join(word[:1].upper() + word[1:] for word in route.name.split("_"))


def _replay(body: bytes) -> Receive:
    """Gives a body that was read already."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _members(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body) if body else None
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _told(error: Exception) -> tuple[int, str, str]:
    """Status, code and message that the caller gets for ``error``."""
    match error:
        case AppError():
            return status_of(error), error.code, error.message
        case RequestValidationError():
            fields = ", ".join(".".join(map(str, row["loc"])) for row in error.errors()[:20])
            return 400, "invalid_input", f"the request breaks its schema: {fields}"
        case HTTPException():
            return error.status_code, "http_error", str(error.detail)
        case Transient():
            return 503, "unavailable", "a service behind this one does not answer now"
        case _:
            return 500, "internal", "an error on our side"
