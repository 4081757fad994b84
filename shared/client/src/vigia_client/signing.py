"""SigV4 for httpx, computed by botocore."""

from __future__ import annotations

from collections.abc import Generator

import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

#: The name that requests to /api/v1 are signed for.
SERVICE = "vigia"


class SigV4(httpx.Auth):
    """Signs every request."""

    requires_request_body = True

    def __init__(
        self, access_key_id: str, secret_access_key: str, region: str, session_token: str | None = None
    ) -> None:
        self._signer = SigV4Auth(Credentials(access_key_id, secret_access_key, session_token), SERVICE, region)

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """See httpx.Auth."""
        kept = ("host", "content-type", "x-vigia-")
        headers = {name: value for name, value in request.headers.items() if name.startswith(kept)}
        signed = AWSRequest(request.method, str(request.url), headers=headers, data=request.content)
        self._signer.add_auth(signed)
        request.headers.update({name: str(value) for name, value in signed.headers.items()})
        yield request
