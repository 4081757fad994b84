"""What the API's tests share: credentials as registry gives them, a client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from aggregator_help import ACCOUNT

from vigia_aggregator.entrypoints.context import Context
from vigia_aggregator.entrypoints.http import make_app
from vigia_runtime.policies import allowing
from vigia_runtime.signin import Credential

NOBODY = "00000000-0000-0000-0000-000000000000"
BASIC = httpx.BasicAuth("AKIAEXAMPLE", "secret")
OTHER = httpx.BasicAuth("AKIAOTHER", "secret")
CAMERA_ONLY = httpx.BasicAuth("AKIACAMERA", "secret")


class Keys:
    """Credentials as registry would give them."""

    async def credential(self, access_key_id: str) -> Credential | None:
        known = {
            "AKIAEXAMPLE": (ACCOUNT, ("vigia:*", "cloudwatch:*", "cloudtrail:LookupEvents")),
            "AKIAOTHER": ("999999999999", ("*",)),
            "AKIACAMERA": (ACCOUNT, ("vigia:PutFrame",)),
        }
        if access_key_id not in known:
            return None
        account, actions = known[access_key_id]
        policies = (allowing(*actions),)
        return Credential(access_key_id, "secret", None, account, f"arn:aws:iam::{account}:user/x", policies)

    async def used(self, credential: Credential, service: str) -> None:
        """Nobody asks."""


@asynccontextmanager
async def client_of(context: Context, auth: httpx.Auth | None = BASIC) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=make_app(context))
    async with httpx.AsyncClient(transport=transport, base_url="http://vigia.test", auth=auth) as client:
        yield client


async def get(client: httpx.AsyncClient, path: str, **params: Any) -> Any:
    answer = await client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()
