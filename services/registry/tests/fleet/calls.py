"""Calls of the API, signed as clients sign them, and what was written down of them."""

from __future__ import annotations

from typing import Any

import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from prometheus_client import REGISTRY

from vigia_contracts.audit import Call
from vigia_contracts.topics import AUDIT

ACCOUNT, REGION = "123456789012", "us-east-1"
KEY = ("AKIAFLEETTESTS000001", "fleet-secret")
BASE = "http://registry"


class Aws(httpx.Auth):
    """Signs as AWS clients do."""

    requires_request_body = True

    def __init__(
        self,
        key: str = KEY[0],
        secret: str = KEY[1],
        token: str | None = None,
        service: str = "lookoutvision",
        region: str = REGION,
    ) -> None:
        self._keys = Credentials(key, secret, token)
        self._service = service
        self._region = region

    def auth_flow(self, request: httpx.Request) -> Any:
        headers = {name: value for name, value in request.headers.items() if name.startswith("x-amz-")}
        signed = AWSRequest(
            request.method, str(request.url), headers={"Host": "registry", **headers}, data=request.content
        )
        SigV4Auth(self._keys, self._service, self._region).add_auth(signed)
        request.headers.update(dict(signed.headers.items()))
        yield request


async def calls(fleet: Any) -> list[Call]:
    """The calls that were written down since the last look."""
    taken = await fleet.take(AUDIT)
    assert all(key == ACCOUNT for key, _ in taken)
    return [event.data for _, event in taken]


def unrecorded() -> float:
    """Calls that are in no audit record so far."""
    return REGISTRY.get_sample_value("vigia_calls_unrecorded_total", {"service": "registry"}) or 0.0


async def sts(client: httpx.AsyncClient, action: str, auth: httpx.Auth | None = None, **fields: str) -> httpx.Response:
    form = {"Version": "2011-06-15", "Action": action, **fields}
    return await client.post("/", data=form, auth=auth or Aws(service="sts"))
