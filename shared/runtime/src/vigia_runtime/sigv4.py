"""Signature Version 4, as the receiving side: what would botocore's signer have written for this request?

Header authentication with a signed payload is accepted; presigned URLs, unsigned and streaming payloads are refused,
as no client of the two protocols sends them unless told to.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from types import SimpleNamespace
from typing import Final
from urllib.parse import SplitResult

from botocore.auth import SigV4Auth
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials
from botocore.utils import normalize_url_path

from vigia_runtime.errors import AccessDenied

ALGORITHM: Final = "AWS4-HMAC-SHA256"
SKEW: Final = timedelta(minutes=5)
_TIMESTAMP: Final = "%Y%m%dT%H%M%SZ"
_AUTHORIZATION: Final = re.compile(
    rf"^{ALGORITHM}\s+Credential=(?P<key>[^/,\s]+)/(?P<date>\d{{8}})/(?P<region>[^/,\s]+)/(?P<service>[^/,\s]+)"
    r"/aws4_request,\s*SignedHeaders=(?P<headers>[a-z0-9;\-_.]+),\s*Signature=(?P<signature>[0-9a-f]{64})$"
)
#: What the id of a key may be. Whatever else is claimed is nobody's, and no database need be asked.
_KEY_ID: Final = re.compile(r"\w{1,128}", re.ASCII)
_SHA256: Final = re.compile(r"^[0-9a-f]{64}$")


@dataclass(frozen=True, slots=True)
class Credential:
    """An access key, who signs with it, and what they may do: JSON documents that ``vigia_runtime.policies`` reads.

    ``session_policies`` bound what a session may do of it; None where nothing bounds it.
    """

    access_key_id: str
    secret_access_key: str
    session_token: str | None
    account_id: str
    principal_arn: str
    policies: tuple[str, ...]
    expires_at: datetime | None = None
    session_policies: tuple[str, ...] | None = None
    #: As ``aws:userid`` has it: of a user ``AIDA…``, of a role's session ``AROA…:NAME``.
    principal_id: str = ""

    def __repr__(self) -> str:
        return f"Credential({self.access_key_id!r}, account_id={self.account_id!r})"


class SignatureError(AccessDenied):
    """A request that is not proven to come from a known caller. ``code`` is AWS's, ``status`` the HTTP status."""

    def __init__(self, code: str, message: str, status: int = 403) -> None:
        super().__init__(code, message)
        self.status = status


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request as it came over the wire.

    ``path`` is the raw, still percent-encoded path; ``query`` the raw query string; ``headers`` in their order, with
    repeats. ``body`` is None where it was not kept: then ``digest`` is its SHA-256 in hex, or None where not all of it
    came.
    """

    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | None
    digest: str | None = None

    def body_digest(self) -> str | None:
        """SHA-256 of the body in hex, None where it is not known."""
        return self.digest if self.body is None else hashlib.sha256(self.body).hexdigest()

    def header(self, name: str) -> str | None:
        """The first header of that name, in any case."""
        return next((value for key, value in self.headers if key.lower() == name), None)


@dataclass(frozen=True, slots=True)
class Scope:
    """What an Authorization header claims."""

    access_key_id: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str


def scope_of(authorization: str | None) -> Scope:
    """The parts of an Authorization header; SignatureError where it is missing or not SigV4."""
    if authorization is None:
        raise SignatureError("MissingAuthenticationToken", "Request is missing Authentication Token")
    match = _AUTHORIZATION.match(authorization.strip())
    if match is None:
        raise SignatureError("IncompleteSignature", "The Authorization header is not a complete AWS4 signature.", 400)
    return Scope(
        access_key_id=match["key"],
        date=match["date"],
        region=match["region"],
        service=match["service"],
        signed_headers=tuple(match["headers"].split(";")),
        signature=match["signature"],
    )


def is_key_id(text: str) -> bool:
    """Whether a key can have this id."""
    return _KEY_ID.fullmatch(text) is not None


async def verify(
    request: SignedRequest,
    credential_for: Callable[[str], Awaitable[Credential | None]],
    now: datetime,
    *,
    service: str,
    skew: timedelta = SKEW,
) -> Credential:
    """The credential that signed ``request`` for ``service``; SignatureError, with AWS's code, where none did."""
    scope = scope_of(request.header("authorization"))
    _check_path(request)
    _check_signed(request, scope)
    _check_scope(scope, service)
    _check_time(_timestamp(request), scope, now, skew)
    payload = _payload(request)
    credential = await credential_for(scope.access_key_id) if is_key_id(scope.access_key_id) else None
    if credential is None:
        raise _unrecognized()
    expected = _Verifier(credential, scope, payload).signature_of(request)
    # Compared before anything else is said about the key, so that a wrong signature learns nothing of its state.
    if not hmac.compare_digest(expected.encode(), scope.signature.encode()):
        raise SignatureError(
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided. "
            "Check your AWS Secret Access Key and signing method.",
        )
    _check_token(request, credential, now)
    return credential


class _Verifier(SigV4Auth):  # type: ignore[misc]  # botocore has no types
    """botocore's signer, told which headers were signed, and given the request's parts as they came.

    botocore takes a URL apart, and what a URL parser drops (a fragment, a tab, the case of the method) would then not
    be covered by the signature.
    """

    def __init__(self, credential: Credential, scope: Scope, payload: str) -> None:
        super().__init__(
            Credentials(credential.access_key_id, credential.secret_access_key), scope.service, scope.region
        )
        self._signed = scope.signed_headers
        self._payload = payload

    def signature_of(self, request: SignedRequest) -> str:
        signed = HTTPHeaders()
        for name, value in request.headers:
            if name.lower() in self._signed:
                signed.add_header(name.lower(), value)
        canonical = "\n".join(
            [
                request.method,
                self._normalize_url_path(request.path),
                self._canonical_query_string_url(SplitResult("", "", request.path, request.query, "")),
                self.canonical_headers(signed) + "\n",
                self.signed_headers(signed),
                self._payload,
            ]
        )
        context = SimpleNamespace(context={"timestamp": _timestamp(request).strftime(_TIMESTAMP)})
        signature: str = self.signature(self.string_to_sign(context, canonical), context)
        return signature


def _check_path(request: SignedRequest) -> None:
    # The signature covers the path without dot segments and doubled slashes, the application would see them.
    if normalize_url_path(request.path) != request.path:
        raise SignatureError("InvalidSignatureException", "The path must have no empty and no dot segments.")


def _check_signed(request: SignedRequest, scope: Scope) -> None:
    present = {name.lower() for name, _ in request.headers}
    must = {"host"} | {name for name in present if name.startswith("x-amz-")}
    if missing := sorted(must - set(scope.signed_headers)):
        raise SignatureError("InvalidSignatureException", f"These headers must be signed: {', '.join(missing)}.")
    if absent := sorted(set(scope.signed_headers) - present):
        raise SignatureError("InvalidSignatureException", f"Signed headers are missing: {', '.join(absent)}.")


def _check_scope(scope: Scope, service: str) -> None:
    if scope.service != service:
        raise SignatureError(
            "InvalidSignatureException", f"Credential should be scoped to correct service: '{service}'."
        )


def _timestamp(request: SignedRequest) -> datetime:
    stamp, date = request.header("x-amz-date"), request.header("date")
    try:
        if stamp is not None:
            return datetime.strptime(stamp, _TIMESTAMP).replace(tzinfo=UTC)
        if date is not None:
            return parsedate_to_datetime(date).astimezone(UTC)
    except (ValueError, OverflowError):  # OverflowError: the end of the last year, in a zone behind UTC
        pass
    raise SignatureError("IncompleteSignature", "Date must be in ISO-8601 'basic format'.", 400)


def _check_time(stamp: datetime, scope: Scope, now: datetime, skew: timedelta) -> None:
    if stamp.strftime("%Y%m%d") != scope.date:
        raise SignatureError("InvalidSignatureException", "Date in Credential scope does not match the request's date.")
    if abs(now - stamp) > skew:
        when = f"{stamp.strftime(_TIMESTAMP)} is not within {int(skew.total_seconds() // 60)} min"
        raise SignatureError("RequestExpired", f"Signature expired: {when} of {now.strftime(_TIMESTAMP)}.")


def _payload(request: SignedRequest) -> str:
    """What was signed of the body. Where not all of it came, the header alone says that: it proves who began to send
    it, and nothing of what came."""
    claimed, found = request.header("x-amz-content-sha256"), request.body_digest()
    if claimed is None:
        if found is None:
            raise SignatureError(
                "IncompleteBody", "The body did not come to its end, so nobody can have signed it.", 400
            )
        return found
    if not _SHA256.match(claimed):
        raise SignatureError("InvalidSignatureException", "The payload must be signed.")
    if found is not None and not hmac.compare_digest(claimed, found):
        raise SignatureError("InvalidSignatureException", "The payload does not match its x-amz-content-sha256.")
    return claimed


def _check_token(request: SignedRequest, credential: Credential, now: datetime) -> None:
    if credential.expires_at is not None and credential.expires_at <= now:
        raise SignatureError("ExpiredToken", "The security token included in the request is expired")
    given = request.header("x-amz-security-token") or ""
    if not hmac.compare_digest(given.encode(), (credential.session_token or "").encode()):
        raise _unrecognized()


def _unrecognized() -> SignatureError:
    return SignatureError("UnrecognizedClientException", "The security token included in the request is invalid.")


def header_pairs(raw: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[str, str], ...]:
    """ASGI headers as text. Bytes beyond ASCII stay what they were signed as: UTF-8 where it is UTF-8."""
    return tuple((name.decode("latin-1"), _text(value)) for name, value in raw)


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
