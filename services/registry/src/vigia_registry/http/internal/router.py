"""``GET /internal/v1/credentials/{access_key_id}``: what other services verify signatures with."""

from __future__ import annotations

import hmac
from datetime import datetime

from fastapi import APIRouter, Header
from pydantic import BaseModel, SecretStr

from vigia_runtime.errors import AccessDenied, NotFound
from vigia_runtime.signin import CredentialSource


class CredentialAnswer(BaseModel):
    """An access key, its secret in clear."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None
    account_id: str
    principal_arn: str
    actions: tuple[str, ...]
    expires_at: datetime | None


def create_router(credentials: CredentialSource, token: SecretStr) -> APIRouter:
    """The internal door; ``token`` is what callers must show as a bearer."""
    router = APIRouter(prefix="/internal/v1", include_in_schema=False)
    expected = f"Bearer {token.get_secret_value()}".encode()

    @router.get("/credentials/{access_key_id}")
    async def credential(access_key_id: str, authorization: str = Header(default="")) -> CredentialAnswer:
        if not hmac.compare_digest(authorization.encode(), expected):
            raise AccessDenied("internal_token", "The internal token is missing or wrong.")
        found = await credentials.credential(access_key_id)
        if found is None:
            raise NotFound("no_such_key", "No such access key, or a disabled one.")
        return CredentialAnswer(
            access_key_id=found.access_key_id,
            secret_access_key=found.secret_access_key,
            session_token=found.session_token,
            account_id=found.account_id,
            principal_arn=found.principal_arn,
            actions=found.actions,
            expires_at=found.expires_at,
        )

    return router
