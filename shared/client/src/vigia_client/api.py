"""A client of ``/api/v1``, signed with the same AWS credentials that SDKs use."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode

import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

SERVICE = "vigia"


class ApiError(Exception):
    """The service refused: ``status`` (HTTP), ``code`` (stable), ``str()`` says what is wrong."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class Address:
    """Where Vigia answers and who is asking. ``url`` without a slash at its end."""

    url: str
    access_key_id: str
    secret_access_key: str
    session_token: str | None = None
    region: str = "us-east-1"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Address:
        """From ``VIGIA_URL`` and ``AWS_*`` as ``.vigia/client.env`` sets them. KeyError names what is missing."""
        given = os.environ if environment is None else environment
        return cls(
            url=given["VIGIA_URL"].rstrip("/"),
            access_key_id=given["AWS_ACCESS_KEY_ID"],
            secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
            session_token=given.get("AWS_SESSION_TOKEN"),
            region=given.get("AWS_DEFAULT_REGION", "us-east-1"),
        )


class Api:
    """Signed requests to ``/api/v1``; a context manager. Answers are decoded JSON; ApiError for every refusal."""

    def __init__(self, address: Address, timeout: float = 30.0) -> None:
        self._address = address
        credentials = Credentials(address.access_key_id, address.secret_access_key, address.session_token)
        self._signer = SigV4Auth(credentials, SERVICE, address.region)
        self._http = httpx.Client(timeout=timeout, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        json: object | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Sends one request below ``/api/v1``; entries of ``query`` that are None are left out."""
        asked = urlencode({name: value for name, value in (query or {}).items() if value is not None}, quote_via=quote)
        url = f"{self._address.url}/api/v1{path}" + (f"?{asked}" if asked else "")
        plain = self._http.build_request(method, url, json=json, content=content, headers=headers)
        signed = AWSRequest(method, url, data=plain.content, headers={"Host": plain.headers["host"]})
        self._signer.add_auth(signed)
        plain.headers.update(dict(signed.headers.items()))
        response = self._http.send(plain)
        if response.is_error:
            raise _error(response)
        return response

    def get(self, path: str, **query: object) -> Any:
        """GET, decoded."""
        return self.request("GET", path, query=query).json()

    def put(self, path: str, body: object) -> Any:
        """PUT, decoded."""
        return self.request("PUT", path, json=body).json()

    def post(self, path: str, body: object | None = None) -> Any:
        """POST, decoded; None for an empty answer."""
        response = self.request("POST", path, json=body)
        return response.json() if response.content else None

    def delete(self, path: str) -> None:
        """DELETE."""
        self.request("DELETE", path)


def _error(response: httpx.Response) -> ApiError:
    try:
        body = response.json()
    except ValueError:
        body = {}
    found: dict[str, Any] = body if isinstance(body, dict) else {}
    code = found.get("code") or found.get("type") or response.headers.get("x-amzn-errortype") or "error"
    message = found.get("detail") or found.get("message") or found.get("title") or response.reason_phrase
    return ApiError(response.status_code, str(code), f"{message} ({response.status_code})")
