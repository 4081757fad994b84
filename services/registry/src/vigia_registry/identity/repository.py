"""Accounts, users, roles, policies, keys and sessions in the database."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, RowMapping, Table, and_, delete, func, select, true, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from vigia_registry.identity.domain import AccessKey, Grants, Policy, Role, User
from vigia_registry.identity.tables import access_keys, accounts, policies, roles, sessions, users

#: How long an expired session is still known as such.
_REMEMBERED = timedelta(hours=1)
_PURGED_AT_ONCE = 1000


# --- accounts -----------------------------------------------------------------------------------------------------


async def add_account(session: AsyncSession, account_id: str) -> bool:
    """Create the account where it is missing; whether it was."""
    row = insert(accounts).values(id=account_id).on_conflict_do_nothing().returning(accounts.c.id)
    return (await session.execute(row)).one_or_none() is not None


async def lock_account(session: AsyncSession, account_id: str) -> None:
    """Wait until nobody else changes who may do what in this account."""
    await session.execute(select(accounts.c.id).where(accounts.c.id == account_id).with_for_update(key_share=True))


async def page_of_accounts(session: AsyncSession, after: str | None, limit: int) -> list[tuple[str, datetime]]:
    """Up to ``limit`` accounts by id, behind ``after``: (id, created at)."""
    query = select(accounts.c.id, accounts.c.created_at)
    if after is not None:
        query = query.where(accounts.c.id > after)
    rows = await session.execute(query.order_by(accounts.c.id).limit(limit))
    return [(row.id, row.created_at) for row in rows]


# --- users and roles ----------------------------------------------------------------------------------------------


async def put_user(session: AsyncSession, account_id: str, name: str, new_id: str, grants: Grants) -> tuple[User, bool]:
    """Create the user, or give the one of that name other grants; whether it was created."""
    row, created = await _put(session, users, account_id, name, new_id, _granted(grants))
    return _user(row), created


async def user(session: AsyncSession, account_id: str, name: str) -> User | None:
    """The user of that name, or None."""
    row = await _get(session, users, account_id, name)
    return None if row is None else _user(row)


async def page_of_users(session: AsyncSession, account_id: str, after: str | None, limit: int) -> list[User]:
    """Up to ``limit`` users by name, behind ``after``."""
    return [_user(row) for row in await _page(session, users, account_id, after, limit)]


async def users_who_sign(session: AsyncSession, account_id: str) -> list[User]:
    """The users of the account that have a key which is active, by name."""
    signs = (
        select(access_keys.c.access_key_id)
        .where(_same(access_keys, "user_name", users), access_keys.c.enabled)
        .where(func.coalesce(access_keys.c.expires_at > func.now(), true()))
    )
    query = select(users).where(users.c.account_id == account_id, signs.exists()).order_by(users.c.name)
    return [_user(row) for row in await session.execute(query)]


async def remove_user(session: AsyncSession, account_id: str, name: str) -> bool:
    """Forget the user, its keys and its sessions; whether there was one."""
    return await _remove(session, users, account_id, name)


async def put_role(
    session: AsyncSession,
    account_id: str,
    name: str,
    new_id: str,
    grants: Grants,
    trust: Collection[str],
    max_session_seconds: int,
) -> tuple[Role, bool]:
    """Create the role, or change the one of that name; whether it was created."""
    values = {**_granted(grants), "trust": list(trust), "max_session_seconds": max_session_seconds}
    row, created = await _put(session, roles, account_id, name, new_id, values)
    return _role(row), created


async def role(session: AsyncSession, account_id: str, name: str) -> Role | None:
    """The role of that name, or None."""
    row = await _get(session, roles, account_id, name)
    return None if row is None else _role(row)


async def page_of_roles(session: AsyncSession, account_id: str, after: str | None, limit: int) -> list[Role]:
    """Up to ``limit`` roles by name, behind ``after``."""
    return [_role(row) for row in await _page(session, roles, account_id, after, limit)]


async def remove_role(session: AsyncSession, account_id: str, name: str) -> bool:
    """Forget the role and its sessions; whether there was one."""
    return await _remove(session, roles, account_id, name)


async def count_users(session: AsyncSession, account_id: str) -> int:
    """How many users the account has."""
    return await _count(session, users, account_id)


async def count_roles(session: AsyncSession, account_id: str) -> int:
    """How many roles the account has."""
    return await _count(session, roles, account_id)


# --- policies -----------------------------------------------------------------------------------------------------


async def put_policy(
    session: AsyncSession, account_id: str, name: str, description: str, document: str
) -> tuple[Policy, bool]:
    """Create the policy, or replace the one of that name; whether it was created."""
    values = {"description": description, "document": document}
    row, created = await _put(session, policies, account_id, name, None, values)
    return Policy(**row._mapping), created


async def policy(session: AsyncSession, account_id: str, name: str) -> Policy | None:
    """The account's own policy of that name, or None."""
    row = await _get(session, policies, account_id, name)
    return None if row is None else Policy(**row._mapping)


async def page_of_policies(session: AsyncSession, account_id: str, after: str | None, limit: int) -> list[Policy]:
    """Up to ``limit`` of the account's own policies by name, behind ``after``."""
    return [Policy(**row._mapping) for row in await _page(session, policies, account_id, after, limit)]


async def documents(session: AsyncSession, account_id: str, names: Collection[str]) -> dict[str, str]:
    """The documents of those of the account's own policies that exist, by name."""
    query = select(policies.c.name, policies.c.document).where(
        policies.c.account_id == account_id, policies.c.name.in_(names)
    )
    return {row.name: row.document for row in await session.execute(query)}


async def holders(session: AsyncSession, account_id: str, policy_name: str, limit: int) -> list[str]:
    """Up to ``limit`` users and roles that have the policy, as "user NAME" and "role NAME"."""
    found: list[str] = []
    for kind, table in (("user", users), ("role", roles)):
        query = select(table.c.name).where(table.c.account_id == account_id, table.c.policies.contains([policy_name]))
        rows = await session.execute(query.order_by(table.c.name).limit(limit))
        found += [f"{kind} {row.name}" for row in rows]
    return found[:limit]


async def remove_policy(session: AsyncSession, account_id: str, name: str) -> bool:
    """Forget the policy; whether there was one."""
    return await _remove(session, policies, account_id, name)


async def count_policies(session: AsyncSession, account_id: str) -> int:
    """How many policies of its own the account has."""
    return await _count(session, policies, account_id)


# --- access keys --------------------------------------------------------------------------------------------------


async def put_access_key(session: AsyncSession, values: Mapping[str, Any]) -> AccessKey:
    """Create the key, or overwrite the one of that id."""
    statement = insert(access_keys).values(**values)
    changed = {name: statement.excluded[name] for name in values if name != "access_key_id"}
    put = statement.on_conflict_do_update(index_elements=["access_key_id"], set_=changed).returning(access_keys)
    return _key((await session.execute(put)).one())


async def keys(session: AsyncSession, account_id: str, user_name: str) -> list[AccessKey]:
    """The user's keys, oldest first."""
    query = select(access_keys).where(access_keys.c.account_id == account_id, access_keys.c.user_name == user_name)
    rows = await session.execute(query.order_by(access_keys.c.created_at, access_keys.c.access_key_id))
    return [_key(row) for row in rows]


async def switch_key(
    session: AsyncSession, account_id: str, user_name: str, access_key_id: str, active: bool
) -> AccessKey | None:
    """Let the key sign, or not; None where the user has none of that id."""
    change = update(access_keys).where(_is_key(account_id, user_name, access_key_id)).values(enabled=active)
    row = (await session.execute(change.returning(access_keys))).one_or_none()
    return None if row is None else _key(row)


async def remove_key(session: AsyncSession, account_id: str, user_name: str, access_key_id: str) -> bool:
    """Forget the key; whether the user had it."""
    gone = delete(access_keys).where(_is_key(account_id, user_name, access_key_id))
    return (await session.execute(gone.returning(access_keys.c.access_key_id))).one_or_none() is not None


async def signing_key(session: AsyncSession, access_key_id: str) -> RowMapping | None:
    """The key and its user's grants, or None: ``secret``, ``enabled``, ``user_id``, ``policies``, ``inline`` …"""
    query = (
        select(access_keys, users.c.id.label("user_id"), users.c.policies, users.c.inline)
        .join(users, _same(access_keys, "user_name", users))
        .where(access_keys.c.access_key_id == access_key_id)
    )
    return (await session.execute(query)).mappings().one_or_none()


async def note_use(session: AsyncSession, access_key_id: str, service: str) -> None:
    """The key was used now. Left out where somebody else is writing the same."""
    free = select(access_keys.c.access_key_id).where(access_keys.c.access_key_id == access_key_id)
    await session.execute(
        update(access_keys)
        .where(access_keys.c.access_key_id.in_(free.with_for_update(key_share=True, skip_locked=True)))
        .values(last_used_at=func.now(), last_used_service=service)
    )


# --- sessions -----------------------------------------------------------------------------------------------------


async def add_session(session: AsyncSession, values: Mapping[str, Any]) -> None:
    """Store a session."""
    await session.execute(insert(sessions).values(**values))


async def live_sessions(session: AsyncSession, account_id: str) -> int:
    """How many sessions of the account have not expired."""
    query = select(func.count()).where(sessions.c.account_id == account_id, sessions.c.expires_at > func.now())
    return (await session.execute(query)).scalar_one()


async def live_sessions_of_key(session: AsyncSession, access_key_id: str) -> int:
    """How many sessions that were begun with the key have not expired."""
    query = select(func.count()).where(sessions.c.begun_by == access_key_id, sessions.c.expires_at > func.now())
    return (await session.execute(query)).scalar_one()


async def beginning(session: AsyncSession, access_key_id: str) -> str | None:
    """The user's key that a session was begun with; None where that was not written down."""
    query = select(sessions.c.begun_by).where(sessions.c.access_key_id == access_key_id)
    return (await session.execute(query)).scalar_one_or_none()


async def purge_sessions(session: AsyncSession, account_id: str) -> None:
    """Forget some of the account's sessions that expired a while ago."""
    old = (
        select(sessions.c.access_key_id)
        .where(sessions.c.account_id == account_id, sessions.c.expires_at < func.now() - _REMEMBERED)
        .limit(_PURGED_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    await session.execute(delete(sessions).where(sessions.c.access_key_id.in_(old)))


async def signing_session(session: AsyncSession, access_key_id: str) -> RowMapping | None:
    """The session and the grants of its user or role, or None; ``enabled``: whether the key that began it is."""
    query = (
        select(
            sessions.c.access_key_id,
            sessions.c.account_id,
            sessions.c.user_name,
            sessions.c.role_name,
            sessions.c.session_name,
            sessions.c.secret,
            sessions.c.token,
            sessions.c.expires_at,
            sessions.c.policies.label("session_policies"),
            func.coalesce(users.c.id, roles.c.id).label("principal_id"),
            func.coalesce(users.c.policies, roles.c.policies).label("policies"),
            func.coalesce(users.c.inline, roles.c.inline).label("inline"),
            func.coalesce(access_keys.c.enabled, true()).label("enabled"),
        )
        .outerjoin(users, _same(sessions, "user_name", users))
        .outerjoin(roles, _same(sessions, "role_name", roles))
        .outerjoin(access_keys, access_keys.c.access_key_id == sessions.c.begun_by)
        .where(sessions.c.access_key_id == access_key_id)
    )
    return (await session.execute(query)).mappings().one_or_none()


# --- parts --------------------------------------------------------------------------------------------------------


async def _put(
    session: AsyncSession, table: Table, account_id: str, name: str, new_id: str | None, values: Mapping[str, Any]
) -> tuple[Row[Any], bool]:
    changed = (
        update(table)
        .where(table.c.account_id == account_id, table.c.name == name)
        .values(**values, updated_at=func.now())
        .returning(table)
    )
    row = (await session.execute(changed)).one_or_none()
    if row is not None:
        return row, False
    made = {"account_id": account_id, "name": name, **values, **({} if new_id is None else {"id": new_id})}
    return (await session.execute(insert(table).values(**made).returning(table))).one(), True


async def _get(session: AsyncSession, table: Table, account_id: str, name: str) -> Row[Any] | None:
    query = select(table).where(table.c.account_id == account_id, table.c.name == name)
    return (await session.execute(query)).one_or_none()


async def _page(session: AsyncSession, table: Table, account_id: str, after: str | None, limit: int) -> list[Row[Any]]:
    query = select(table).where(table.c.account_id == account_id)
    if after is not None:
        query = query.where(table.c.name > after)
    return list((await session.execute(query.order_by(table.c.name).limit(limit))).all())


async def _count(session: AsyncSession, table: Table, account_id: str) -> int:
    found = await session.execute(select(func.count()).select_from(table).where(table.c.account_id == account_id))
    return found.scalar_one()


async def _remove(session: AsyncSession, table: Table, account_id: str, name: str) -> bool:
    gone = delete(table).where(table.c.account_id == account_id, table.c.name == name)
    return (await session.execute(gone.returning(table.c.name))).one_or_none() is not None


def _is_key(account_id: str, user_name: str, access_key_id: str) -> Any:
    return and_(
        access_keys.c.account_id == account_id,
        access_keys.c.user_name == user_name,
        access_keys.c.access_key_id == access_key_id,
    )


def _same(table: Table, column: str, holder: Table) -> Any:
    return and_(holder.c.account_id == table.c.account_id, holder.c.name == table.c[column])


def _granted(grants: Grants) -> dict[str, Any]:
    return {"policies": list(grants.policies), "inline": dict(grants.inline)}


def _grants(row: Row[Any]) -> Grants:
    return Grants(tuple(row.policies), row.inline)


def _user(row: Row[Any]) -> User:
    return User(row.account_id, row.name, row.id, _grants(row), row.created_at, row.updated_at)


def _role(row: Row[Any]) -> Role:
    return Role(
        account_id=row.account_id,
        name=row.name,
        id=row.id,
        grants=_grants(row),
        trust=tuple(row.trust),
        max_session_seconds=row.max_session_seconds,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _key(row: Row[Any]) -> AccessKey:
    return AccessKey(
        access_key_id=row.access_key_id,
        user_name=row.user_name,
        active=row.enabled,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
        last_used_service=row.last_used_service,
    )
