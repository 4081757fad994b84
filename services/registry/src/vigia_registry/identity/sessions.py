"""Temporary credentials: use cases of STS. Every function works in the caller's transaction."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from vigia_registry.identity import repository, service
from vigia_registry.identity.domain import (
    MAX_SESSIONS,
    MAX_SESSIONS_OF_KEY,
    ROLE_SESSION_SECONDS,
    Role,
    Vault,
    account_named_by,
    is_role_session,
    named_by,
    new_id,
    new_secret,
    new_token,
)
from vigia_registry.identity.errors import TooMany
from vigia_registry.identity.managed import MANAGED
from vigia_runtime.errors import AccessDenied, InvalidInput
from vigia_runtime.policies import Decision, canonical, decide, denied
from vigia_runtime.signin import Credential

ASSUME: Final = "sts:AssumeRole"
_ROLE_ARN: Final = re.compile(r"arn:aws:iam::(?P<account>[0-9]{12}):role/(?P<name>[A-Za-z0-9_+=,.@-]{1,64})")


@dataclass(frozen=True, slots=True)
class Temporary:
    """Temporary credentials, shown once."""

    access_key_id: str
    secret_access_key: str
    session_token: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a session may do at most: a document and names or ARNs of policies; nothing of either bounds nothing."""

    document: str | None = None
    policies: Sequence[str] = ()


class DurationTooLong(InvalidInput):
    def __init__(self, most: int, why: str) -> None:
        super().__init__("duration_too_long", f"The requested DurationSeconds exceeds {most}, {why}.", {"most": most})


async def for_user(session: AsyncSession, vault: Vault, caller: Credential, seconds: int) -> Temporary:
    """Temporary credentials of the calling user. AccessDenied to who has temporary ones already."""
    if caller.session_token is not None:
        raise AccessDenied("access_denied", "Cannot call GetSessionToken with session credentials")
    key = await repository.signing_key(session, caller.access_key_id)
    if key is None:
        raise AccessDenied("access_denied", "The access key is gone")
    return await _issue(session, vault, caller, caller.account_id, seconds, {"user_name": key["user_name"]})


async def for_role(
    session: AsyncSession, vault: Vault, caller: Credential, arn: str, name: str, seconds: int | None, bounds: Bounds
) -> tuple[Temporary, Role]:
    """Temporary credentials of a role that the caller may take, and the role.

    AccessDenied, also where there is no such role; DurationTooLong, PolicyError, UnknownPolicy, TooMany.
    """
    match = _ROLE_ARN.fullmatch(arn)
    role = await repository.role(session, match["account"], match["name"]) if match else None
    if role is None or not _may_take(caller, role):
        raise denied(caller, ASSUME, arn)
    chained = is_role_session(caller.principal_arn)
    if seconds is not None and seconds > role.max_session_seconds:
        raise DurationTooLong(role.max_session_seconds, "the MaxSessionDuration set for this role")
    if seconds is not None and chained and seconds > ROLE_SESSION_SECONDS:
        raise DurationTooLong(ROLE_SESSION_SECONDS, "the most for a role that is taken from a role")
    issued = await _issue(
        session,
        vault,
        caller,
        role.account_id,
        seconds or ROLE_SESSION_SECONDS,
        {"role_name": role.name, "session_name": name, "policies": await _documents(session, role, bounds)},
    )
    return issued, role


def _may_take(caller: Credential, role: Role) -> bool:
    """The role must trust the caller or its account, and the caller's own policies must allow it.

    A role that names the caller itself, in the same account, allows by that.
    """
    decision = decide(caller, ASSUME, role.arn)
    named = named_by(role.trust, caller)
    if not named and not account_named_by(role.trust, caller):
        return False
    if decision is Decision.IMPLICIT_DENY and caller.session_policies is None:
        return named and caller.account_id == role.account_id
    return decision is Decision.ALLOWED


async def _documents(session: AsyncSession, role: Role, bounds: Bounds) -> list[str] | None:
    if bounds.document is None and not bounds.policies:
        return None
    names = await service.named_policies(session, role.account_id, bounds.policies)
    stored = await repository.documents(session, role.account_id, [name for name in names if name not in MANAGED])
    documents = [MANAGED[name].document if name in MANAGED else stored[name] for name in names]
    return documents if bounds.document is None else [*documents, canonical(bounds.document)]


async def _issue(
    session: AsyncSession, vault: Vault, caller: Credential, account_id: str, seconds: int, values: dict[str, object]
) -> Temporary:
    key = caller.access_key_id
    begun_by = key if caller.session_token is None else await repository.beginning(session, key)
    if begun_by is not None and await repository.live_sessions_of_key(session, begun_by) >= MAX_SESSIONS_OF_KEY:
        raise TooMany("sessions begun with one access key", MAX_SESSIONS_OF_KEY)
    await repository.purge_sessions(session, account_id)
    if await repository.live_sessions(session, account_id) >= MAX_SESSIONS:
        raise TooMany("sessions in an account", MAX_SESSIONS)
    now = datetime.now(UTC).replace(microsecond=0)
    issued = Temporary(new_id("ASIA", 20), new_secret(), new_token(), now + timedelta(seconds=seconds))
    await repository.add_session(
        session,
        {
            "access_key_id": issued.access_key_id,
            "account_id": account_id,
            "secret": vault.seal(issued.secret_access_key),
            "token": vault.seal(issued.session_token),
            "expires_at": issued.expires_at,
            "begun_by": begun_by,
            **values,
        },
    )
    return issued
