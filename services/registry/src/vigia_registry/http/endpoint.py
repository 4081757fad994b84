"""The way of a request through a protocol's one endpoint: who asks, for which operation, may they, and the answer.

What differs between the protocols is in a subclass of ``Endpoint`` for each.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from vigia_registry.audit.journal import Journal
from vigia_registry.bootstrap import Deps
from vigia_registry.db import passing_faults
from vigia_registry.http.bodies import DEEPEST, deeper, members_of
from vigia_registry.pagination import Pages
from vigia_registry.rates import RateLimiter
from vigia_runtime.errors import AppError, InvalidInput, Transient
from vigia_runtime.http import Body, receive_body, request_id
from vigia_runtime.logging import get_logger
from vigia_runtime.policies import Context, authorize
from vigia_runtime.signin import Authenticator, Credential, CredentialSource, region_of

log = get_logger(__name__)

#: A protocol's own view of a request.
C = TypeVar("C")
_Taken = TypeVar("_Taken", contravariant=True)


class Operation(Protocol[_Taken]):
    """What a request asks for."""

    @property
    def name(self) -> str: ...

    @property
    def path(self) -> str:
        """What metrics count it by."""

    @property
    def status(self) -> int:
        """That of success."""

    def served(self) -> Callable[[_Taken], Awaitable[dict[str, Any]]]:
        """What answers it; AppError where nothing does."""


@dataclass(frozen=True, slots=True)
class Access:
    """One question to the caller's policies."""

    action: str
    resource: str
    context: Context


@dataclass(frozen=True, slots=True)
class Failure:
    """An error on the wire: ``name`` goes into the header ``x-amzn-errortype``, ``more`` beside the message."""

    status: int
    name: str
    message: str
    more: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked(Generic[C]):
    """A known caller's request for a known operation; ``path``: what stands in the place of the path's parameters.

    Members are not validated yet; there are none in a body that could not be read.
    """

    request: Request
    caller: Credential
    region: str
    operation: Operation[C]
    path: Mapping[str, str]
    members: dict[str, Any]


class Endpoint(ABC, Generic[C]):
    """Answers requests in one protocol."""

    #: What requests are signed for.
    service: ClassVar[str]
    media_type: ClassVar[str]

    def __init__(self, deps: Deps, credentials: CredentialSource) -> None:
        self.deps = deps
        self.pages = Pages(deps.settings.secret_key.get_secret_value())
        self._rates = RateLimiter(deps.settings.rates)
        self._authenticator = Authenticator(credentials)

    @abstractmethod
    def find(self, request: Request, body: Body) -> tuple[Operation[C], Mapping[str, str]]:
        """The operation that a request names, and the path's parameters; AppError where it names none."""

    @abstractmethod
    def journal(self, asked: Asked[C]) -> Journal | None:
        """The audit record of a request, begun; None where it leaves none."""

    @abstractmethod
    def call(self, asked: Asked[C], journal: Journal | None) -> C:
        """The request as the operations see it."""

    @abstractmethod
    async def wanted(self, call: C) -> Sequence[Access]:
        """Everything that a request needs permission for."""

    @abstractmethod
    def translate(self, error: AppError) -> Failure:
        """The failure that a client sees."""

    @abstractmethod
    def internal(self) -> Failure:
        """What a client learns of a fault on our side."""

    @abstractmethod
    def told(self, failure: Failure) -> dict[str, Any]:
        """The body of an answer that says what went wrong."""

    async def respond(self, request: Request) -> Response:
        """The answer or the error, always in the protocol's shape."""
        try:
            with passing_faults():
                return await self._answer(request)
        # A process boundary: a bug must reach clients in the protocol's shape, and nothing of it but that it happened.
        except Exception as error:  # noqa: BLE001 - logged where it is no error of the caller's
            failure = self._failure(error)
            # None before the caller and the operation are known.
            journal: Journal | None = getattr(request.state, "journal", None)
            if journal is not None:
                await journal.failed(failure.status, failure.name, failure.message)
            headers = {"x-amzn-errortype": failure.name, **failure.headers}
            return self._response(request, failure.status, self.told(failure), headers)

    async def _answer(self, request: Request) -> Response:
        settings = self.deps.settings
        body = await receive_body(request, settings.http.max_body_bytes)
        caller = await self._authenticator.verify(request, body, self.service)
        region = region_of(request, settings.bootstrap.region)
        operation, path = self.find(request, body)
        # What metrics count by.
        request.scope["route"] = operation
        members = members_of(body.data)
        asked = Asked(request, caller, region, operation, path, members or {})
        journal = request.state.journal = self.journal(asked)
        handler = operation.served()
        self._rates.take(caller.account_id, self.service, operation.name)
        body.whole()
        if members is None:
            raise InvalidInput("not_json", "The request body is not a JSON object.")
        if deeper(members, DEEPEST):
            raise InvalidInput("too_deep", f"The request body nests more than {DEEPEST} deep.")
        call = self.call(asked, journal)
        for access in await self.wanted(call):
            authorize(caller, access.action, access.resource, access.context)
        answer = await handler(call)
        if journal is not None:
            await journal.succeeded(operation.status)
        return self._response(request, operation.status, answer)

    def _failure(self, error: Exception) -> Failure:
        """What the caller learns of ``error``."""
        if isinstance(error, AppError):
            return self.translate(error)
        if isinstance(error, Transient):
            log.warning("a dependency does not answer", detail=error.detail)
        else:
            log.error("request failed", exc_info=error)
        return self.internal()

    def _response(
        self, request: Request, status: int, content: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> Response:
        return Response(
            json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"),
            status,
            headers={"x-amzn-requestid": request_id(request), **(headers or {})},
            media_type=self.media_type,
        )
