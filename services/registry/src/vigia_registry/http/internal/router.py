"""``/internal/v1``: what other services verify signatures with, their word that a key was used, and whether a model
version exists."""

from __future__ import annotations

import hmac
from datetime import datetime

from fastapi import APIRouter, Depends, Header
from pydantic import BaseModel, Field, SecretStr

from vigia_registry.db import Database
from vigia_registry.identity.credentials import StoredCredentials
from vigia_registry.models import repository as models
from vigia_runtime.errors import AccessDenied, NotFound


class CredentialAnswer(BaseModel):
    """An access key, its secret in clear."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None
    account_id: str
    principal_arn: str
    policies: tuple[str, ...]
    expires_at: datetime | None
    session_policies: tuple[str, ...] | None
    principal_id: str


class Use(BaseModel):
    """A request that a key signed for a service."""

    service: str = Field(max_length=64)


def create_router(credentials: StoredCredentials, database: Database, token: SecretStr) -> APIRouter:
    """The internal door; ``token`` is what callers must show as a bearer."""
    expected = f"Bearer {token.get_secret_value()}".encode()

    def inside(authorization: str = Header(default="")) -> None:
        if not hmac.compare_digest(authorization.encode(), expected):
            raise AccessDenied("internal_token", "The internal token is missing or wrong.")

    router = APIRouter(prefix="/internal/v1", include_in_schema=False, dependencies=[Depends(inside)])

    @router.get("/credentials/{access_key_id}")
    async def credential(access_key_id: str) -> CredentialAnswer:
        found = await credentials.credential(access_key_id)
        if found is None:
            raise NotFound("no_such_key", "No such access key, or an inactive one.")
        return CredentialAnswer(
            access_key_id=found.access_key_id,
            secret_access_key=found.secret_access_key,
            session_token=found.session_token,
            account_id=found.account_id,
            principal_arn=found.principal_arn,
            policies=found.policies,
            expires_at=found.expires_at,
            session_policies=found.session_policies,
            principal_id=found.principal_id,
        )

    @router.post("/credentials/{access_key_id}/uses", status_code=204)
    async def use(access_key_id: str, body: Use) -> None:
        await credentials.note_use(access_key_id, body.service)

    @router.get("/model-versions", status_code=204)
    async def model_version(arn: str) -> None:
        async with database.transaction() as session:
            if await models.by_arn(session, arn) is None:
                raise NotFound("no_such_version", "No such model version.")

    return router
