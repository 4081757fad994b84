"""Whose things these are, and how a secret is kept."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase

from cryptography.fernet import Fernet

#: What the first key may do.
EVERYTHING = "*"


@dataclass(frozen=True, slots=True)
class Owner:
    """An account in a region: the scope in which names are unique."""

    account_id: str
    region: str


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A key that signs requests. ``actions`` are patterns such as ``lookoutvision:*``."""

    access_key_id: str
    secret_access_key: str
    account_id: str
    principal_arn: str
    actions: tuple[str, ...]
    enabled: bool
    expires_at: datetime | None

    def usable(self, now: datetime) -> bool:
        """Whether the key may still sign."""
        return self.enabled and (self.expires_at is None or now < self.expires_at)


def allows(actions: Iterable[str], action: str) -> bool:
    """Whether one of the patterns (``*`` and ``?``, any case) covers an action such as ``lookoutvision:StartModel``."""
    return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in actions)


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
