"""Accounts and access keys: use cases."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncSession

from vigia_registry.identity import repository
from vigia_registry.identity.domain import EVERYTHING, AccessKey, Vault
from vigia_registry.identity.errors import NoSuchKey


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


async def put_key(session: AsyncSession, vault: Vault, key: AccessKey) -> None:
    """A key of an existing account, new or overwritten."""
    await repository.put_access_key(
        session,
        {
            "access_key_id": key.access_key_id,
            "account_id": key.account_id,
            "secret": vault.seal(key.secret_access_key),
            "principal_arn": key.principal_arn,
            "actions": list(key.actions),
            "enabled": key.enabled,
            "expires_at": key.expires_at,
        },
    )


async def usable_key(session: AsyncSession, vault: Vault, access_key_id: str) -> AccessKey:
    """The key of that id; NoSuchKey when it does not exist, is disabled or has expired."""
    row = await repository.access_key(session, access_key_id)
    if row is None:
        raise NoSuchKey(access_key_id)
    key = AccessKey(
        access_key_id=row["access_key_id"],
        secret_access_key=vault.open(row["secret"]),
        account_id=row["account_id"],
        principal_arn=row["principal_arn"],
        actions=tuple(row["actions"]),
        enabled=row["enabled"],
        expires_at=row["expires_at"],
    )
    if not key.usable(datetime.now(UTC)):
        raise NoSuchKey(access_key_id)
    return key
