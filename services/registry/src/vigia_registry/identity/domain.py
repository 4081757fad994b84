"""Whose things these are, who acts for them, and how a secret is kept."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from cryptography.fernet import Fernet

from vigia_runtime.policies import role_arn, user_arn
from vigia_runtime.sigv4 import Credential

#: The user of every account that may do everything.
ADMIN: Final = "admin"
#: What a policy must allow of who makes users, keys, roles and policies.
MANAGE: Final = "vigia:ManageIdentity"

MAX_USERS: Final = 1000
MAX_ROLES: Final = 1000
MAX_POLICIES: Final = 1000
#: Per user or role.
MAX_ATTACHED: Final = 10
MAX_INLINE: Final = 10
#: Per user, so that a new key can be brought into use before the old one goes.
MAX_KEYS: Final = 2
MAX_TRUSTED: Final = 50
#: Sessions that have not expired, per account.
MAX_SESSIONS: Final = 10_000
#: Of them, begun with one key: what may do nothing else can ask for sessions, and must leave some to others.
MAX_SESSIONS_OF_KEY: Final = 2000

LEAST_SESSION_SECONDS: Final = 900
MOST_ROLE_SESSION_SECONDS: Final = 12 * 3600
ROLE_SESSION_SECONDS: Final = 3600

ACCOUNT: Final = re.compile(r"[0-9]{12}")
NAME: Final = re.compile(r"[A-Za-z0-9_+=,.@-]{1,64}")
POLICY_NAME: Final = re.compile(r"[A-Za-z0-9_+=,.@-]{1,128}")
_PRINCIPAL: Final = re.compile(
    r"arn:aws:iam::[0-9]{12}:(root|(user|role)/[A-Za-z0-9_+=,.@-]{1,64})"
    r"|arn:aws:sts::[0-9]{12}:assumed-role/[A-Za-z0-9_+=,.@-]{1,64}/[A-Za-z0-9_+=,.@-]{2,64}"
)
_ID_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


class Service(StrEnum):
    """Which of the two AWS services a project belongs to, by the name that stands in ARNs and signatures."""

    LOOKOUT = "lookoutvision"
    CUSTOM_LABELS = "rekognition"


@dataclass(frozen=True, slots=True)
class Owner:
    """An account in a region, as one of the services sees it: the scope in which names are unique."""

    account_id: str
    region: str
    service: Service = Service.LOOKOUT


@dataclass(frozen=True, slots=True)
class Grants:
    """What a user or role may do: names of policies, and documents of its own by name."""

    policies: tuple[str, ...] = ()
    inline: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class User:
    """Somebody, or something, that has access keys."""

    account_id: str
    name: str
    id: str
    grants: Grants
    created_at: datetime
    updated_at: datetime

    @property
    def arn(self) -> str:
        return user_arn(self.account_id, self.name)


@dataclass(frozen=True, slots=True)
class Role:
    """What those in ``trust`` may become for a while: ARNs, or accounts whose own policies say who."""

    account_id: str
    name: str
    id: str
    grants: Grants
    trust: tuple[str, ...]
    max_session_seconds: int
    created_at: datetime
    updated_at: datetime

    @property
    def arn(self) -> str:
        return role_arn(self.account_id, self.name)


@dataclass(frozen=True, slots=True)
class Policy:
    """A document with a name. ``managed``: it comes with the product and cannot be changed."""

    account_id: str
    name: str
    description: str
    document: str
    created_at: datetime | None
    updated_at: datetime | None
    managed: bool = False

    @property
    def arn(self) -> str:
        return f"arn:aws:iam::{'aws' if self.managed else self.account_id}:policy/{self.name}"


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A key without its secret."""

    access_key_id: str
    user_name: str
    active: bool
    created_at: datetime
    last_used_at: datetime | None
    last_used_service: str | None


def is_principal(text: str) -> bool:
    """Whether a role may trust this: an account, a user, a role, or a session of a role."""
    return ACCOUNT.fullmatch(text) is not None or _PRINCIPAL.fullmatch(text) is not None


def named_by(trust: tuple[str, ...], caller: Credential) -> bool:
    """Whether the caller itself is trusted, not just its account."""
    return caller.principal_arn in trust or _role_of(caller.principal_arn) in trust


def account_named_by(trust: tuple[str, ...], caller: Credential) -> bool:
    """Whether the caller's account is trusted."""
    return caller.account_id in trust or f"arn:aws:iam::{caller.account_id}:root" in trust


def is_role_session(principal_arn: str) -> bool:
    """Whether this names somebody who has taken a role."""
    return _role_of(principal_arn) is not None


def _role_of(principal_arn: str) -> str | None:
    parts = principal_arn.split(":", 5)
    kind, _, names = parts[-1].partition("/")
    return role_arn(parts[-2], names.partition("/")[0]) if kind == "assumed-role" else None


def session_arn(role: Role, session: str) -> str:
    """The ARN of somebody who has taken the role."""
    return f"arn:aws:sts::{role.account_id}:assumed-role/{role.name}/{session}"


def new_id(prefix: str, length: int) -> str:
    """An id as AWS writes them: ``AIDA`` for users, ``AROA`` roles, ``AKIA`` keys, ``ASIA`` keys of sessions."""
    return prefix + "".join(secrets.choice(_ID_LETTERS) for _ in range(length - len(prefix)))


def new_secret() -> str:
    """A secret of 40 characters, 240 bits."""
    return base64.b64encode(secrets.token_bytes(30)).decode()


def new_token() -> str:
    """A session token."""
    return base64.b64encode(secrets.token_bytes(96)).decode()


def derive_key(secret: str, purpose: str) -> bytes:
    """32 bytes for one purpose, so that no two uses of the process's secret share a key."""
    return hmac.digest(secret.encode(), f"vigia-registry/{purpose}".encode(), hashlib.sha256)


class Vault:
    """Seals and opens secrets that must be stored and must be readable again."""

    def __init__(self, secret_key: str) -> None:
        self._fernet = Fernet(base64.urlsafe_b64encode(derive_key(secret_key, "secrets")))

    def seal(self, secret: str) -> bytes:
        """The secret, encrypted and authenticated."""
        return self._fernet.encrypt(secret.encode())

    def open(self, sealed: bytes) -> str:
        """The secret again; ``cryptography.fernet.InvalidToken`` when another key sealed it."""
        return self._fernet.decrypt(sealed).decode()
