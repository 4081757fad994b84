"""Accounts, users, roles, policies and keys: use cases. Every function works in the caller's transaction."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from vigia_registry.identity import repository
from vigia_registry.identity.domain import (
    ADMIN,
    MANAGE,
    MAX_ATTACHED,
    MAX_INLINE,
    MAX_KEYS,
    MAX_POLICIES,
    MAX_ROLES,
    MAX_TRUSTED,
    MAX_USERS,
    NAME,
    POLICY_NAME,
    AccessKey,
    Grants,
    Owner,
    Policy,
    Role,
    User,
    Vault,
    is_principal,
    new_id,
    new_secret,
)
from vigia_registry.identity.errors import (
    AccountExists,
    BadName,
    KeyNotFound,
    LastManager,
    ManagedPolicyFixed,
    NotAPrincipal,
    PolicyInUse,
    PolicyNotFound,
    RoleNotFound,
    TooMany,
    UnknownPolicy,
    UserNotFound,
)
from vigia_registry.identity.managed import ADMINISTRATOR, MANAGED
from vigia_registry.pagination import Page, Pages
from vigia_runtime.policies import Decision, Request, canonical, evaluate, principal_keys, user_arn
from vigia_runtime.sigv4 import Credential

#: How many holders of a policy an error names.
_NAMED_HOLDERS = 5
_POLICY_ARN = re.compile(r"arn:aws:iam::(?P<account>aws|[0-9]{12}):policy/(?P<name>[^/]+)")
#: What a policy stands for that is gone, or a document that cannot be read: it may have held a Deny.
DENIES_EVERYTHING = canonical({"Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}})

Documents = Mapping[str, str | Mapping[str, Any]]


# --- accounts -----------------------------------------------------------------------------------------------------


async def put_admin(session: AsyncSession, vault: Vault, account_id: str, key_id: str, secret: str) -> None:
    """The account, its user ``admin``, and a key of that user. Whatever was changed of the user, it may do everything.

    Repeating it changes nothing.
    """
    await repository.add_account(session, account_id)
    await _put_admin(session, account_id)
    await _store_key(session, vault, account_id, ADMIN, key_id, secret)


async def add_account(session: AsyncSession, vault: Vault, account_id: str) -> tuple[AccessKey, str]:
    """A new account with a user ``admin``: a key of that user, and its secret. AccountExists."""
    if not await repository.add_account(session, account_id):
        raise AccountExists(account_id)
    await _put_admin(session, account_id)
    return await _new_key(session, vault, account_id, ADMIN)


async def page_of_accounts(session: AsyncSession, pages: Pages, token: str | None, limit: int) -> Page[Any]:
    """Accounts by id: (id, created at)."""
    scope = ("accounts",)
    rows = await repository.page_of_accounts(session, _after(pages, scope, token), limit + 1)
    return pages.cut(scope, rows, limit, lambda row: [row[0]])


async def _put_admin(session: AsyncSession, account_id: str) -> None:
    await repository.lock_account(session, account_id)
    grants = Grants((ADMINISTRATOR,))
    known = await repository.user(session, account_id, ADMIN)
    if known is None or known.grants != grants:
        await repository.put_user(session, account_id, ADMIN, new_id("AIDA", 21), grants)


# --- users --------------------------------------------------------------------------------------------------------


async def put_user(
    session: AsyncSession, owner: Owner, name: str, policies: Sequence[str], inline: Documents
) -> tuple[User, bool]:
    """A user with these policies, new or changed; whether it is new.

    BadName, UnknownPolicy, PolicyError, TooMany, LastManager.
    """
    _check_name(name, "user")
    async with _still_managed(session, owner):
        grants = await _checked(session, owner, policies, inline)
        user, created = await repository.put_user(session, owner.account_id, name, new_id("AIDA", 21), grants)
    if created and await repository.count_users(session, owner.account_id) > MAX_USERS:
        raise TooMany("users in an account", MAX_USERS)
    return user, created


async def user(session: AsyncSession, owner: Owner, name: str) -> User:
    """The user of that name; UserNotFound."""
    found = await repository.user(session, owner.account_id, name)
    if found is None:
        raise UserNotFound(name)
    return found


async def page_of_users(session: AsyncSession, pages: Pages, owner: Owner, token: str | None, limit: int) -> Page[User]:
    """Users of the account by name."""
    scope = ("users", owner.account_id)
    rows = await repository.page_of_users(session, owner.account_id, _after(pages, scope, token), limit + 1)
    return pages.cut(scope, rows, limit, lambda row: [row.name])


async def remove_user(session: AsyncSession, owner: Owner, name: str) -> None:
    """Forget a user, its keys and its sessions; UserNotFound, LastManager."""
    async with _still_managed(session, owner):
        if not await repository.remove_user(session, owner.account_id, name):
            raise UserNotFound(name)


@asynccontextmanager
async def _still_managed(session: AsyncSession, owner: Owner) -> AsyncIterator[None]:
    """For changes that can take rights or keys away, one at a time: LastManager where nobody would be left.

    An account whose users manage nothing anyway, because who has taken a role does, is left alone.
    """
    await repository.lock_account(session, owner.account_id)
    before = await _is_managed(session, owner.account_id)
    yield
    if before and not await _is_managed(session, owner.account_id):
        raise LastManager


async def _is_managed(session: AsyncSession, account_id: str) -> bool:
    """Whether a user with a key that signs may manage identities."""
    users = await repository.users_who_sign(session, account_id)
    own = {name for user in users for name in user.grants.policies if name not in MANAGED}
    stored = await repository.documents(session, account_id, own) if own else {}
    return any(_manages(user, _documents(user.grants, stored).values()) for user in users)


def _manages(user: User, documents: Collection[str]) -> bool:
    who = Credential("", "", None, user.account_id, user.arn, (), principal_id=user.id)
    return evaluate(documents, Request.of(MANAGE, "*", principal_keys(who))).decision is Decision.ALLOWED


# --- access keys --------------------------------------------------------------------------------------------------


async def add_key(session: AsyncSession, vault: Vault, owner: Owner, user_name: str) -> tuple[AccessKey, str]:
    """A new key of the user, and its secret, which nobody can read again. UserNotFound, TooMany."""
    await repository.lock_account(session, owner.account_id)
    await user(session, owner, user_name)
    if len(await repository.keys(session, owner.account_id, user_name)) >= MAX_KEYS:
        raise TooMany("access keys of a user", MAX_KEYS)
    return await _new_key(session, vault, owner.account_id, user_name)


async def keys(session: AsyncSession, owner: Owner, user_name: str) -> list[AccessKey]:
    """The user's keys, oldest first; UserNotFound."""
    await user(session, owner, user_name)
    return await repository.keys(session, owner.account_id, user_name)


async def switch_key(
    session: AsyncSession, owner: Owner, user_name: str, access_key_id: str, active: bool
) -> AccessKey:
    """Let a key sign, or not; KeyNotFound, LastManager."""
    async with _still_managed(session, owner):
        key = await repository.switch_key(session, owner.account_id, user_name, access_key_id, active)
    if key is None:
        raise KeyNotFound(user_name, access_key_id)
    return key


async def remove_key(session: AsyncSession, owner: Owner, user_name: str, access_key_id: str) -> None:
    """Forget a key; KeyNotFound, LastManager."""
    async with _still_managed(session, owner):
        if not await repository.remove_key(session, owner.account_id, user_name, access_key_id):
            raise KeyNotFound(user_name, access_key_id)


async def _new_key(session: AsyncSession, vault: Vault, account_id: str, user_name: str) -> tuple[AccessKey, str]:
    secret = new_secret()
    return await _store_key(session, vault, account_id, user_name, new_id("AKIA", 20), secret), secret


async def _store_key(
    session: AsyncSession, vault: Vault, account_id: str, user_name: str, key_id: str, secret: str
) -> AccessKey:
    return await repository.put_access_key(
        session,
        {
            "access_key_id": key_id,
            "account_id": account_id,
            "user_name": user_name,
            "secret": vault.seal(secret),
            "principal_arn": user_arn(account_id, user_name),
        },
    )


# --- roles --------------------------------------------------------------------------------------------------------


async def put_role(
    session: AsyncSession,
    owner: Owner,
    name: str,
    policies: Sequence[str],
    inline: Documents,
    trust: Sequence[str],
    max_session_seconds: int,
) -> tuple[Role, bool]:
    """A role, new or changed; whether it is new. BadName, UnknownPolicy, PolicyError, NotAPrincipal, TooMany."""
    _check_name(name, "role")
    if len(trust) > MAX_TRUSTED:
        raise TooMany("principals that a role trusts", MAX_TRUSTED)
    if not all(map(is_principal, trust)):
        raise NotAPrincipal
    await repository.lock_account(session, owner.account_id)
    grants = await _checked(session, owner, policies, inline)
    trusted = tuple(dict.fromkeys(trust))
    role, created = await repository.put_role(
        session, owner.account_id, name, new_id("AROA", 21), grants, trusted, max_session_seconds
    )
    if created and await repository.count_roles(session, owner.account_id) > MAX_ROLES:
        raise TooMany("roles in an account", MAX_ROLES)
    return role, created


async def role(session: AsyncSession, owner: Owner, name: str) -> Role:
    """The role of that name; RoleNotFound."""
    found = await repository.role(session, owner.account_id, name)
    if found is None:
        raise RoleNotFound(name)
    return found


async def page_of_roles(session: AsyncSession, pages: Pages, owner: Owner, token: str | None, limit: int) -> Page[Role]:
    """Roles of the account by name."""
    scope = ("roles", owner.account_id)
    rows = await repository.page_of_roles(session, owner.account_id, _after(pages, scope, token), limit + 1)
    return pages.cut(scope, rows, limit, lambda row: [row.name])


async def remove_role(session: AsyncSession, owner: Owner, name: str) -> None:
    """Forget a role and the sessions of those who have taken it; RoleNotFound."""
    if not await repository.remove_role(session, owner.account_id, name):
        raise RoleNotFound(name)


# --- policies -----------------------------------------------------------------------------------------------------


async def put_policy(
    session: AsyncSession, owner: Owner, name: str, description: str, document: str | Mapping[str, Any]
) -> tuple[Policy, bool]:
    """A policy of the account, new or changed; whether it is new.

    BadName, ManagedPolicyFixed, PolicyError, TooMany, LastManager.
    """
    if POLICY_NAME.fullmatch(name) is None:
        raise BadName("policy", 128)
    if name in MANAGED:
        raise ManagedPolicyFixed(name)
    text = canonical(document)
    async with _still_managed(session, owner):
        policy, created = await repository.put_policy(session, owner.account_id, name, description, text)
    if created and await repository.count_policies(session, owner.account_id) > MAX_POLICIES:
        raise TooMany("policies in an account", MAX_POLICIES)
    return policy, created


async def policy(session: AsyncSession, owner: Owner, name: str) -> Policy:
    """The policy of that name, managed or the account's own; PolicyNotFound."""
    found = MANAGED.get(name) or await repository.policy(session, owner.account_id, name)
    if found is None:
        raise PolicyNotFound(name)
    return found


async def page_of_policies(
    session: AsyncSession, pages: Pages, owner: Owner, token: str | None, limit: int
) -> Page[Policy]:
    """The managed policies by name, then the account's own by name."""
    scope = ("policies", owner.account_id)
    kind, after = pages.read(scope, token) or ["managed", ""]
    rows = [policy for name, policy in MANAGED.items() if kind == "managed" and name > after][: limit + 1]
    if len(rows) <= limit:
        behind = after if kind == "own" else None
        rows += await repository.page_of_policies(session, owner.account_id, behind, limit + 1 - len(rows))
    return pages.cut(scope, rows, limit, lambda row: ["managed" if row.managed else "own", row.name])


async def remove_policy(session: AsyncSession, owner: Owner, name: str) -> None:
    """Forget a policy that nobody has; PolicyNotFound, PolicyInUse, ManagedPolicyFixed."""
    if name in MANAGED:
        raise ManagedPolicyFixed(name)
    await repository.lock_account(session, owner.account_id)
    if holders := await repository.holders(session, owner.account_id, name, _NAMED_HOLDERS):
        raise PolicyInUse(name, holders)
    if not await repository.remove_policy(session, owner.account_id, name):
        raise PolicyNotFound(name)


async def documents_of(session: AsyncSession, account_id: str, grants: Grants) -> dict[str, str]:
    """Every document that says what these grants give, by the policy's name; inline ones as "inline NAME"."""
    own = [name for name in grants.policies if name not in MANAGED]
    stored = await repository.documents(session, account_id, own) if own else {}
    return _documents(grants, stored)


def _documents(grants: Grants, stored: Mapping[str, str]) -> dict[str, str]:
    attached = {
        name: MANAGED[name].document if name in MANAGED else stored.get(name, DENIES_EVERYTHING)
        for name in grants.policies
    }
    return {**attached, **{f"inline {name}": document for name, document in grants.inline.items()}}


async def named_policies(session: AsyncSession, account_id: str, references: Collection[str]) -> tuple[str, ...]:
    """Names of existing policies from names and ARNs, each once; UnknownPolicy."""
    names = tuple(dict.fromkeys(_policy_name(account_id, reference) for reference in references))
    own = [name for name in names if name not in MANAGED]
    stored = await repository.documents(session, account_id, own) if own else {}
    if missing := [name for name in own if name not in stored]:
        raise UnknownPolicy(missing[0])
    return names


async def _checked(session: AsyncSession, owner: Owner, policies: Sequence[str], inline: Documents) -> Grants:
    if len(policies) > MAX_ATTACHED:
        raise TooMany("policies of a user or role", MAX_ATTACHED)
    if len(inline) > MAX_INLINE:
        raise TooMany("inline policies of a user or role", MAX_INLINE)
    if not all(map(POLICY_NAME.fullmatch, inline)):
        raise BadName("policy", 128)
    names = await named_policies(session, owner.account_id, policies)
    return Grants(names, {name: canonical(document) for name, document in inline.items()})


def _policy_name(account_id: str, reference: str) -> str:
    match = _POLICY_ARN.fullmatch(reference)
    name = match["name"] if match else reference
    if match and (match["account"] != account_id if name not in MANAGED else match["account"] != "aws"):
        raise UnknownPolicy(reference[:200])
    if POLICY_NAME.fullmatch(name) is None:
        raise BadName("policy", 128)
    return name


def _check_name(name: str, kind: str) -> None:
    if NAME.fullmatch(name) is None:
        raise BadName(kind, 64)


def _after(pages: Pages, scope: Sequence[str], token: str | None) -> str | None:
    position = pages.read(scope, token)
    return None if position is None else position[0]
