"""Routes that change something leave an audit record, as calls of the AWS protocols do.

Trial detection was the console's, and CloudTrail has its calls as the service's own: they are recorded as that, those
that read too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any, Final

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from vigia_contracts.audit import LOOKOUT, VIGIA
from vigia_registry.audit.journal import Journal
from vigia_registry.bootstrap import Deps
from vigia_registry.db import passing_faults
from vigia_runtime.audit import draft
from vigia_runtime.errors import AppError, Transient
from vigia_runtime.http import status_of
from vigia_runtime.signin import Credential, region_of

_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_TRIALS: Final = frozenset({"StartTrialDetection", "ListTrialDetection", "DescribeTrialDetection"})


class AuditedRoute(APIRoute):
    """A route whose calls are recorded, where they change something (or read a trial) and come from a known caller.

    The record is named by the route (``name="CreateLine"``) and written after the call, in a transaction of its own. A
    change whose record cannot be written is answered as a failure, 503 or 500: repeat it.
    """

    #: Set by ``audited``.
    deps: Deps

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def recorded(request: Request) -> Response:
            if request.method in _READING and event_name(self) not in _TRIALS:
                return await answer(request)
            body = await request.body()
            try:
                response = await answer(request)
            except Exception as error:
                journal = self._journal(request, body)
                if journal is not None:
                    await journal.failed(*_told(error))
                raise
            journal = self._journal(request, body)
            if journal is not None:
                with passing_faults():
                    await journal.succeeded(response.status_code)
            return response

        return recorded

    def _journal(self, request: Request, body: bytes) -> Journal | None:
        caller: Credential | None = getattr(request.state, "credential", None)
        if caller is None:
            return None
        name = event_name(self)
        parameters = {**request.path_params, **dict(request.query_params), **_members(body)}
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
        return Journal(self.deps.database, asked, project if isinstance(project, str) else None)


def audited(deps: Deps) -> type[APIRoute]:
    """The route class of routers over ``deps``."""
    return type("AuditedRoute", (AuditedRoute,), {"deps": deps})


def event_name(route: APIRoute) -> str:
    """What a record of the route is called: its name, words run together."""
    return "".join(word[:1].upper() + word[1:] for word in route.name.split("_"))


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
