"""Who is calling? SigV4 as AWS clients sign, or HTTP Basic with an access key for cameras and curl."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import sys
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Protocol, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ConfigDict
from starlette.requests import Request

from vigia_runtime import metrics
from vigia_runtime.errors import Unavailable
from vigia_runtime.http import Body
from vigia_runtime.logging import get_logger
from vigia_runtime.policies import authorize, vigia_arn
from vigia_runtime.settings import RegistrySettings
from vigia_runtime.sigv4 import Credential, SignatureError, SignedRequest, header_pairs, is_key_id, scope_of, verify

__all__ = ["Authenticator", "Credential", "CredentialSource", "RegistryCredentials", "Uses", "region_of", "signed_in"]

log = get_logger(__name__)
T = TypeVar("T")

FRESH_SECONDS = 60.0
#: An unknown key is asked for again after this long, so that a new one works soon and guesses cost little.
UNKNOWN_SECONDS = 5.0
#: Registry did not answer: cached keys are used for this long without asking.
RETRY_SECONDS = 5.0
#: The last use of a key is noted once in this time.
NOTED_SECONDS = 60.0
MAX_CACHED = 10_000
REALM = "Vigia"
#: Carries the internal token where one service asks another in a caller's name: such a question is no call of theirs.
INTERNAL_HEADER = "x-vigia-internal-token"


class CredentialSource(Protocol):
    """Where credentials come from."""

    async def credential(self, access_key_id: str) -> Credential | None:
        """The credential of a key, None where there is none."""

    async def used(self, credential: Credential, service: str) -> None:
        """Note that a request for ``service`` was proven to come from this credential. Never fails."""


class Uses:
    """Which keys' uses are worth noting now: each key's once in ``NOTED_SECONDS``."""

    def __init__(self) -> None:
        self._noted: OrderedDict[str, float] = OrderedDict()

    def is_due(self, credential: Credential) -> bool:
        """Whether to note this use. A session is not its user's key."""
        key, now = credential.access_key_id, time.monotonic()
        if credential.session_token is not None or now - self._noted.get(key, -NOTED_SECONDS) < NOTED_SECONDS:
            return False
        _keep(self._noted, key, now)
        return True


def _keep(cache: OrderedDict[str, T], key: str, value: T) -> None:
    """Put in, as the newest; the oldest go where there are too many."""
    cache[key] = value
    cache.move_to_end(key)
    while len(cache) > MAX_CACHED:
        cache.popitem(last=False)


class _Answer(BaseModel):
    """What registry's internal endpoint says of a key."""

    model_config = ConfigDict(extra="ignore")

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None
    account_id: str
    principal_arn: str
    policies: tuple[str, ...]
    expires_at: datetime | None = None
    session_policies: tuple[str, ...] | None = None
    principal_id: str = ""

    def credential(self) -> Credential:
        """The credential. Documents that many keys share are kept once."""
        values = self.model_dump() | {"policies": tuple(map(sys.intern, self.policies))}
        return Credential(**values)


class RegistryCredentials:
    """Credentials from registry, cached for a minute. While registry is down, what was known goes on being known."""

    def __init__(self, settings: RegistrySettings) -> None:
        self._client = httpx.AsyncClient(
            base_url=settings.url.rstrip("/"),
            headers={"Authorization": f"Bearer {settings.token.get_secret_value()}"},
            timeout=httpx.Timeout(3.0),
            trust_env=False,
        )
        self._wait_until = 0.0
        self._uses = Uses()
        self._notes: set[asyncio.Task[None]] = set()
        self._known: OrderedDict[str, tuple[float, Credential]] = OrderedDict()
        #: When these were found to be nobody's. Apart, so that guesses push no key out that is somebody's.
        self._unknown: OrderedDict[str, float] = OrderedDict()

    async def credential(self, access_key_id: str) -> Credential | None:
        """The credential of a key; None where there is none; Unavailable where registry cannot be asked."""
        now = time.monotonic()
        cached = self._known.get(access_key_id)
        if cached is not None and (now < self._wait_until or now - cached[0] < FRESH_SECONDS):
            return cached[1]
        if now - self._unknown.get(access_key_id, -UNKNOWN_SECONDS) < UNKNOWN_SECONDS:
            return None
        try:
            found = await self._ask(access_key_id)
        except (httpx.HTTPError, ValueError) as error:
            if cached is not None:
                # Asked again in a while: a registry that hangs must not slow down every request.
                self._wait_until = time.monotonic() + RETRY_SECONDS
                log.warning("registry does not answer, cached keys are used", error=type(error).__name__)
                return cached[1]
            raise Unavailable("registry_unavailable", "credentials cannot be checked now") from error
        if found is None:
            self._known.pop(access_key_id, None)
            _keep(self._unknown, access_key_id, time.monotonic())
        else:
            self._unknown.pop(access_key_id, None)
            _keep(self._known, access_key_id, (time.monotonic(), found))
        return found

    async def _ask(self, access_key_id: str) -> Credential | None:
        answer = await self._client.get(f"/internal/v1/credentials/{quote(access_key_id, safe='')}")
        if answer.status_code == 404:
            return None
        answer.raise_for_status()
        return _Answer.model_validate_json(answer.content).credential()

    async def used(self, credential: Credential, service: str) -> None:
        """See ``CredentialSource``. Registry is told beside the request, which does not wait for it."""
        if self._uses.is_due(credential):
            note = asyncio.create_task(self._note(credential.access_key_id, service))
            self._notes.add(note)
            note.add_done_callback(self._notes.discard)

    async def _note(self, access_key_id: str, service: str) -> None:
        path = f"/internal/v1/credentials/{quote(access_key_id, safe='')}/uses"
        try:
            (await self._client.post(path, json={"service": service})).raise_for_status()
        except httpx.HTTPError as error:
            log.warning("the use of a key was not noted", error=type(error).__name__)

    async def close(self) -> None:
        """Close the connections, once the last uses are noted."""
        if self._notes:
            await asyncio.wait(self._notes)
        await self._client.aclose()


class Authenticator:
    """Finds out who sent a request."""

    def __init__(self, credentials: CredentialSource) -> None:
        self._credentials = credentials

    async def authenticate(self, request: Request, body: bytes | Body, service: str) -> Credential:
        """The credential that sent ``request``; SignatureError where it is not proven.

        ``body`` is the whole body, or what came of it. Where that is not all, who sent it may be proven all the same,
        and the fault of the body is raised where it is not.
        """
        authorization = request.headers.get("authorization")
        if authorization is None or authorization[:6].lower() != "basic ":
            return await self.verify(request, body, service)
        with _faulty(body), counted(service):
            credential = await self._basic(authorization[6:])
        await self._credentials.used(credential, service)
        return credential

    async def verify(self, request: Request, body: bytes | Body, service: str) -> Credential:
        """As ``authenticate``, by signature alone."""
        signed = signed_request(request, body)
        with _faulty(body), counted(service):
            credential = await verify(signed, self._credentials.credential, datetime.now(UTC), service=service)
        await self._credentials.used(credential, service)
        return credential

    async def _basic(self, encoded: str) -> Credential:
        refused = SignatureError("UnrecognizedClientException", "The access key or its secret is wrong.", 401)
        try:
            key, separator, secret = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            raise refused from None
        credential = await self._credentials.credential(key) if separator and is_key_id(key) else None
        known = credential.secret_access_key if credential is not None else ""
        if not hmac.compare_digest(known.encode(), secret.encode()) or credential is None:
            raise refused
        if credential.session_token is not None:
            raise refused  # a temporary key needs its token, which Basic cannot carry
        if credential.expires_at is not None and credential.expires_at <= datetime.now(UTC):
            raise SignatureError("ExpiredToken", "The access key is expired", 401)
        return credential


@contextmanager
def counted(service: str) -> Iterator[None]:
    """Count a SignatureError of the block: no account is known, so no audit record tells of it."""
    try:
        yield
    except SignatureError as error:
        metrics.SIGNATURE_FAILURES.labels(service, error.code).inc()
        raise


@contextmanager
def _faulty(body: bytes | Body) -> Iterator[None]:
    """Raise the body's fault, if it has one, rather than a SignatureError of the block."""
    try:
        yield
    except SignatureError as error:
        if isinstance(body, Body) and body.fault is not None:
            raise body.fault from error
        raise


def signed_request(request: Request, body: bytes | Body) -> SignedRequest:
    """The request as it was signed: its raw path, still percent-encoded, and its headers in their order."""
    raw: bytes | None = request.scope.get("raw_path")
    path = raw.decode("latin-1") if raw else quote(request.scope["path"], safe="/~")
    query: bytes = request.scope.get("query_string", b"")
    return SignedRequest(
        method=request.method,
        path=path.partition("?")[0],
        query=query.decode("latin-1"),
        headers=header_pairs(request.scope["headers"]),
        body=body if isinstance(body, bytes) else None,
        digest=body.digest if isinstance(body, Body) else None,
    )


def region_of(request: Request, default: str) -> str:
    """The region a SigV4 request was signed for; ``default`` for any other."""
    try:
        return scope_of(request.headers.get("authorization")).region
    except SignatureError:
        return default


def signed_in(
    authenticator: Authenticator, service: str, action: str, resource: str = "*"
) -> Callable[[Request], Awaitable[Credential]]:
    """A FastAPI dependency: ``Depends(signed_in(authenticator, "vigia", "vigia:PutFrame", "camera/{camera_id}"))``.

    ``resource`` is what the action is done to, with the names of the path's parameters, or ``*``.
    """

    async def caller(request: Request) -> Credential:
        credential = await authenticator.authenticate(request, await request.body(), service)
        # Known from here on, also to who writes down that the call was refused.
        request.state.credential = credential
        path = resource.format_map(request.path_params)
        authorize(credential, action, "*" if path == "*" else vigia_arn(credential.account_id, path))
        return credential

    return caller
