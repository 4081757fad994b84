"""Accounts and access keys: use cases."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from vigia_registry.db import Database
from vigia_registry.identity import repository
from vigia_registry.identity.domain import EVERYTHING, Vault
from vigia_runtime.signin import Credential


async def put_admin(session: AsyncSession, vault: Vault, account_id: str, key_id: str, secret: str) -> None:
    """The account and a key of it that may do everything. Repeating it changes nothing."""
    await repository.add_account(session, account_id)
    await repository.put_access_key(
        session,
        {
            "access_key_id": key_id,
            "account_id": account_id,
            "secret": vault.seal(secret),
            "principal_arn": f"arn:aws:iam::{account_id}:user/admin",
            "actions": [EVERYTHING],
        },
    )


async def put_key(session: AsyncSession, vault: Vault, key: Credential) -> None:
    """A key of an existing account, new or overwritten."""
    await repository.put_access_key(
        session,
        {
            "access_key_id": key.access_key_id,
            "account_id": key.account_id,
            "secret": vault.seal(key.secret_access_key),
            "principal_arn": key.principal_arn,
            "actions": list(key.actions),
            "expires_at": key.expires_at,
        },
    )


async def credential(session: AsyncSession, vault: Vault, access_key_id: str) -> Credential | None:
    """The key of that id; None when it does not exist or is disabled. One that has expired says so itself."""
    row = await repository.access_key(session, access_key_id)
    if row is None or not row["enabled"]:
        return None
    return Credential(
        access_key_id=row["access_key_id"],
        secret_access_key=vault.open(row["secret"]),
        session_token=None,
        account_id=row["account_id"],
        principal_arn=row["principal_arn"],
        actions=tuple(row["actions"]),
        expires_at=row["expires_at"],
    )


class StoredCredentials:
    """Credentials straight from the database: what the registry's own doors ask."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def credential(self, access_key_id: str) -> Credential | None:
        """The credential of a key, None where there is none."""
        async with self._database.transaction() as session:
            return await credential(session, self._vault, access_key_id)
