"""Who is calling? SigV4 as AWS clients sign, or HTTP Basic with an access key for cameras and curl."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Protocol
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ConfigDict
from starlette.requests import Request

from vigia_runtime import metrics
from vigia_runtime.errors import AccessDenied, Unavailable
from vigia_runtime.logging import get_logger
from vigia_runtime.settings import RegistrySettings
from vigia_runtime.sigv4 import Credential, SignatureError, SignedRequest, header_pairs, scope_of, verify

__all__ = ["Authenticator", "Credential", "CredentialSource", "RegistryCredentials", "allows", "region_of"]

log = get_logger(__name__)

FRESH_SECONDS = 60.0
#: An unknown key is asked for again after this long, so that a new one works soon and guesses cost little.
UNKNOWN_SECONDS = 5.0
#: Registry did not answer: cached keys are used for this long without asking.
RETRY_SECONDS = 5.0
MAX_CACHED = 10_000
REALM = "Vigia"
#: Carries the internal token where one service asks another in a caller's name: such a question is no call of theirs.
INTERNAL_HEADER = "x-vigia-internal-token"


class CredentialSource(Protocol):
    """Where credentials come from."""

    async def credential(self, access_key_id: str) -> Credential | None:
        """The credential of a key, None where there is none."""


class _Answer(BaseModel):
    """What registry's internal endpoint says of a key."""

    model_config = ConfigDict(extra="ignore")

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None
    account_id: str
    principal_arn: str
    actions: tuple[str, ...]
    expires_at: datetime | None = None


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
        self._cache: OrderedDict[str, tuple[float, Credential | None]] = OrderedDict()

    async def credential(self, access_key_id: str) -> Credential | None:
        """The credential of a key; None where there is none; Unavailable where registry cannot be asked."""
        cached = self._cache.get(access_key_id)
        if cached is not None:
            if cached[1] is not None and time.monotonic() < self._wait_until:
                return cached[1]
            age = time.monotonic() - cached[0]
            if age < (FRESH_SECONDS if cached[1] is not None else UNKNOWN_SECONDS):
                return cached[1]
        try:
            found = await self._ask(access_key_id)
        except (httpx.HTTPError, ValueError) as error:
            if cached is not None and cached[1] is not None:
                # Asked again in a while: a registry that hangs must not slow down every request.
                self._wait_until = time.monotonic() + RETRY_SECONDS
                log.warning("registry does not answer, cached keys are used", error=type(error).__name__)
                return cached[1]
            raise Unavailable("registry_unavailable", "credentials cannot be checked now") from error
        self._cache[access_key_id] = (time.monotonic(), found)
        self._cache.move_to_end(access_key_id)
        while len(self._cache) > MAX_CACHED:
            self._cache.popitem(last=False)
        return found

    async def _ask(self, access_key_id: str) -> Credential | None:
        answer = await self._client.get(f"/internal/v1/credentials/{quote(access_key_id, safe='')}")
        if answer.status_code == 404:
            return None
        answer.raise_for_status()
        found = _Answer.model_validate_json(answer.content)
        return Credential(**found.model_dump())

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


class Authenticator:
    """Finds out who sent a request."""

    def __init__(self, credentials: CredentialSource) -> None:
        self._credentials = credentials

    async def authenticate(self, request: Request, body: bytes, service: str) -> Credential:
        """The credential that sent ``request``; SignatureError where it is not proven. ``body`` is the whole body."""
        authorization = request.headers.get("authorization")
        with counted(service):
            if authorization is not None and authorization[:6].lower() == "basic ":
                return await self._basic(authorization[6:])
            signed = signed_request(request, body)
            return await verify(signed, self._credentials.credential, datetime.now(UTC), service=service)

    async def _basic(self, encoded: str) -> Credential:
        refused = SignatureError("UnrecognizedClientException", "The access key or its secret is wrong.", 401)
        try:
            key, separator, secret = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            raise refused from None
        credential = await self._credentials.credential(key) if separator else None
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


def signed_request(request: Request, body: bytes) -> SignedRequest:
    """The request as it was signed: its raw path, still percent-encoded, and its headers in their order."""
    raw: bytes | None = request.scope.get("raw_path")
    path = raw.decode("latin-1") if raw else quote(request.scope["path"], safe="/~")
    query: bytes = request.scope.get("query_string", b"")
    return SignedRequest(
        method=request.method,
        path=path.partition("?")[0],
        query=query.decode("latin-1"),
        headers=header_pairs(request.scope["headers"]),
        body=body,
    )


def region_of(request: Request, default: str) -> str:
    """The region a SigV4 request was signed for; ``default`` for any other."""
    try:
        return scope_of(request.headers.get("authorization")).region
    except SignatureError:
        return default


def allows(credential: Credential, action: str) -> bool:
    """Whether the credential's patterns cover ``action`` ("service:Operation"), as IAM compares: any case, * and ?."""
    return any(_pattern(pattern).fullmatch(action) is not None for pattern in credential.actions)


def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), re.IGNORECASE | re.DOTALL)


def signed_in(authenticator: Authenticator, service: str, action: str) -> Callable[[Request], Awaitable[Credential]]:
    """A FastAPI dependency: ``Depends(signed_in(authenticator, "vigia", "vigia:ReadInspections"))``."""

    async def caller(request: Request) -> Credential:
        credential = await authenticator.authenticate(request, await request.body(), service)
        # Known from here on, also to who writes down that the call was refused.
        request.state.credential = credential
        if not allows(credential, action):
            raise AccessDenied("access_denied", f"{credential.principal_arn} may not perform {action}")
        return credential

    return caller
