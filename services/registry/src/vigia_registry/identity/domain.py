"""Whose things these are, and how a secret is kept."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass

from cryptography.fernet import Fernet

#: What the first key may do.
EVERYTHING = "*"


@dataclass(frozen=True, slots=True)
class Owner:
    """An account in a region: the scope in which names are unique."""

    account_id: str
    region: str


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
