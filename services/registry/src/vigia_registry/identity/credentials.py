"""What a key signs with and what its holder may do: asked at every request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from vigia_registry.db import Database
from vigia_registry.identity import repository, service
from vigia_registry.identity.domain import Grants, Vault
from vigia_runtime.logging import get_logger
from vigia_runtime.policies import user_arn
from vigia_runtime.signin import Credential, Uses

log = get_logger(__name__)


async def credential(session: AsyncSession, vault: Vault, access_key_id: str) -> Credential | None:
    """The credential of a user's key or of a session; None when it does not exist or is inactive.

    A session is inactive with the key that began it. One that has expired says so itself.
    """
    row = await repository.signing_key(session, access_key_id)
    if row is not None:
        return await _of_user(session, vault, row) if row["enabled"] else None
    row = await repository.signing_session(session, access_key_id)
    return await _of_session(session, vault, row) if row is not None and row["enabled"] else None


async def _of_user(session: AsyncSession, vault: Vault, row: Mapping[Any, Any]) -> Credential:
    return Credential(
        access_key_id=row["access_key_id"],
        secret_access_key=vault.open(row["secret"]),
        session_token=None,
        account_id=row["account_id"],
        principal_arn=row["principal_arn"],
        policies=await _documents(session, row),
        expires_at=row["expires_at"],
        principal_id=row["user_id"],
    )


async def _of_session(session: AsyncSession, vault: Vault, row: Mapping[Any, Any]) -> Credential:
    account_id, bounds = row["account_id"], row["session_policies"]
    if row["user_name"] is not None:
        arn, principal_id = user_arn(account_id, row["user_name"]), row["principal_id"]
    else:
        arn = f"arn:aws:sts::{account_id}:assumed-role/{row['role_name']}/{row['session_name']}"
        principal_id = f"{row['principal_id']}:{row['session_name']}"
    return Credential(
        access_key_id=row["access_key_id"],
        secret_access_key=vault.open(row["secret"]),
        session_token=vault.open(row["token"]),
        account_id=account_id,
        principal_arn=arn,
        policies=await _documents(session, row),
        expires_at=row["expires_at"],
        session_policies=None if bounds is None else tuple(bounds),
        principal_id=principal_id,
    )


async def _documents(session: AsyncSession, row: Mapping[Any, Any]) -> tuple[str, ...]:
    grants = Grants(tuple(row["policies"]), row["inline"])
    return tuple((await service.documents_of(session, row["account_id"], grants)).values())


class StoredCredentials:
    """Credentials straight from the database: what the registry's own doors ask."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault
        self._uses = Uses()

    async def credential(self, access_key_id: str) -> Credential | None:
        """The credential of a key, None where there is none."""
        # Anybody can say anything here, the database would not even take some of it.
        if not (access_key_id.isascii() and access_key_id.isalnum()):
            return None
        async with self._database.transaction() as session:
            return await credential(session, self._vault, access_key_id)

    async def used(self, credential: Credential, service: str) -> None:
        """See ``CredentialSource``."""
        if self._uses.is_due(credential):
            await self.note_use(credential.access_key_id, service)

    async def note_use(self, access_key_id: str, service: str) -> None:
        """Write down that a key was used now; where that fails, the request goes on."""
        try:
            async with self._database.transaction() as session:
                await repository.note_use(session, access_key_id, service)
        except SQLAlchemyError as error:
            log.warning("the use of a key was not noted", error=type(error).__name__)
