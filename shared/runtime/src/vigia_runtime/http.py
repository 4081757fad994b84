"""The HTTP doors: one way to make an app, to answer errors, to count requests and to stop."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vigia_runtime import metrics
from vigia_runtime.errors import (
    AccessDenied,
    AppError,
    Conflict,
    InvalidInput,
    LimitExceeded,
    NotFound,
    Transient,
    Unavailable,
)
from vigia_runtime.lifecycle import Lifecycle
from vigia_runtime.logging import get_logger
from vigia_runtime.settings import HttpSettings
from vigia_runtime.sigv4 import SignatureError

log = get_logger(__name__)

KEEP_ALIVE_SECONDS = 75
MAX_BODY_BYTES = 16 * 1024 * 1024
#: A body that is refused for its size is read to its end up to here.
MOST_DROPPED = 64 * 1024 * 1024
#: The scope's key for what gives the body without the app's bound, to who keeps its own.
_RECEIVE = "vigia.receive"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_STATUS: tuple[tuple[type[AppError], int], ...] = (
    (NotFound, 404),
    (Conflict, 409),
    (InvalidInput, 400),
    (LimitExceeded, 429),
    (AccessDenied, 403),
    (Unavailable, 503),
)


def create_app(title: str, version: str, *, max_body_bytes: int = MAX_BODY_BYTES, **options: Any) -> FastAPI:
    """An app with request ids, metrics by route, a bound on bodies, and errors as problem documents (RFC 9457).

    ``options`` go to FastAPI (``lifespan``, ``docs_url`` …). ``title`` names the service in metrics.
    """
    app = FastAPI(title=title, version=version, **options)
    app.add_middleware(_Door, service=title, max_body_bytes=max_body_bytes)
    app.add_exception_handler(AppError, _app_error)
    app.add_exception_handler(Transient, _transient)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _bug)
    return app


def request_id(request: Request) -> str:
    """The request's id, as in its answer's ``x-request-id`` and in the logs."""
    return str(request.scope.get("vigia.request_id", ""))


def problem(request: Request, status: int, code: str, message: str, details: dict[str, Any] | None = None) -> Response:
    """A problem document."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "status": status,
        "code": code,
        "detail": message,
        "request_id": request_id(request),
    }
    if details:
        body["details"] = details
    return JSONResponse(body, status, media_type="application/problem+json")


def status_of(error: AppError) -> int:
    """The HTTP status of an error of ours."""
    if isinstance(error, SignatureError):
        return error.status
    if error.code == "body_too_large":
        return 413
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 400)


@dataclass(frozen=True, slots=True)
class Body:
    """What came of a request's body: all of it, or ``fault`` says why not.

    ``digest``: SHA-256 of all of it in hex, of a body too large too; None where it did not come to its end. ``size``:
    bytes that came.
    """

    data: bytes
    digest: str | None
    size: int
    fault: AppError | None = None

    def whole(self) -> bytes:
        """All of it; raises ``fault``."""
        if self.fault is not None:
            raise self.fault
        return self.data


async def receive_body(request: Request, limit: int) -> Body:
    """The body, at most ``limit`` bytes of it.

    One that is larger is read on, up to ``MOST_DROPPED`` bytes, and dropped: its digest proves who sent it, and a
    client that still writes would not hear the answer.
    """
    too_large = LimitExceeded("body_too_large", f"the body is larger than {limit} bytes", {"limit": limit})
    if _declared(request.scope) > max(limit, MOST_DROPPED):
        return Body(b"", None, 0, too_large)
    receive: Receive = request.scope.get(_RECEIVE, request.receive)
    data, digest, size = bytearray(), hashlib.sha256(), 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return Body(b"", None, size, InvalidInput("disconnected", "the request ended before its body did"))
        chunk = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(chunk)
        if size > max(limit, MOST_DROPPED):
            return Body(b"", None, size, too_large)
        digest.update(chunk)
        if size <= limit:
            data += chunk
        else:
            data.clear()
    return Body(bytes(data), digest.hexdigest(), size, too_large if size > limit else None)


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body; LimitExceeded ("body_too_large") where it is over ``limit`` bytes, InvalidInput
    ("disconnected")."""
    return (await receive_body(request, limit)).whole()


def _app_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, AppError)
    status = status_of(error)
    answer = problem(request, status, error.code, error.message, error.details)
    if error.retryable:
        answer.headers["Retry-After"] = "1"
    if status == 401:
        answer.headers["WWW-Authenticate"] = 'Basic realm="Vigia"'
    return answer


def _transient(request: Request, error: Exception) -> Response:
    log.warning("dependency does not answer", detail=str(error))
    answer = problem(request, 503, "unavailable", "a service behind this one does not answer now")
    answer.headers["Retry-After"] = "1"
    return answer


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large"}.get(error.status_code, "http_error")
    answer = problem(request, error.status_code, code, str(error.detail))
    answer.headers.update(error.headers or {})
    return answer


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    rows = [{"where": ".".join(map(str, row["loc"])), "message": row["msg"]} for row in error.errors()]
    return problem(request, 400, "invalid_input", "the request breaks its schema", {"problems": rows})


def _bug(request: Request, error: Exception) -> Response:
    log.error("request failed", route=_route(request.scope), exc_info=error)
    return problem(request, 500, "internal", "an error on our side; the request id finds it in the logs")


class _Door:
    """Outermost layer of every app: request id, metrics, bound on the body."""

    def __init__(self, app: ASGIApp, service: str, max_body_bytes: int) -> None:
        self._app = app
        self._service = service
        self._max = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        identity = str(uuid.uuid4())
        scope["vigia.request_id"] = identity
        scope[_RECEIVE] = receive
        status = 500
        size = 0

        async def bounded() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._max:
                raise HTTPException(413, f"the body is larger than {self._max} bytes")
            return message

        async def tagged(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), (b"x-request-id", identity.encode())]
            await send(message)

        began = time.perf_counter()
        metrics.HTTP_IN_FLIGHT.labels(self._service).inc()
        try:
            with structlog.contextvars.bound_contextvars(request_id=identity):
                await self._app(scope, bounded, tagged)
        finally:
            method = scope["method"] if scope["method"] in _METHODS else "other"
            route = _route(scope)
            metrics.HTTP_IN_FLIGHT.labels(self._service).dec()
            metrics.HTTP_REQUESTS.labels(self._service, method, route, str(status)).inc()
            metrics.HTTP_SECONDS.labels(self._service, method, route).observe(time.perf_counter() - began)


def _route(scope: Scope) -> str:
    """The route's template, which is bounded, never the path."""
    return str(getattr(scope.get("route"), "path", "unmatched"))


def _declared(scope: Scope) -> int:
    text = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    return int(text) if text.isdigit() else 0


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: the lifecycle has it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(app: ASGIApp, settings: HttpSettings, lifecycle: Lifecycle) -> None:
    """Serve until the lifecycle stops; then answer what is in flight, within its budget. OSError: the port is taken."""
    # Bound here, because uvicorn answers a port in use by leaving the interpreter.
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    # Accepted connections inherit it. asyncio itself sets it only where the socket names its protocol, which one made
    # this way does not; without it the body waits for the headers' acknowledgement, which comes 40 ms late.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        lifespan="on",
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="uvicorn")

    async def answers() -> None:
        if not server.started:
            raise Unavailable("starting", "the door is not open yet")

    lifecycle.health.probe("http", answers, every_seconds=1)
    stopping = asyncio.create_task(lifecycle.stopping.wait())
    try:
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not serving.done():
            # Some of the budget is left for what is closed after the door.
            config.timeout_graceful_shutdown = max(1, int(lifecycle.remaining() - 3))
            # A connection that was being accepted at this moment would otherwise be kept alive and served on.
            closing = (b"connection", b"close")
            config.encoded_headers.append(closing)
            server.server_state.default_headers = [*server.server_state.default_headers, closing]
            server.should_exit = True
        await serving
    finally:
        stopping.cancel()
        if not serving.done():
            server.force_exit = server.should_exit = True
            await asyncio.wait({serving}, timeout=2)
    if not lifecycle.stopping.is_set():
        raise RuntimeError(f"the HTTP server on {settings.host}:{settings.port} ended by itself")
