"""Page tokens: the position of the last row given, sealed so that nobody can forge or move one.

A token names its list and the filters it was made for; positions are keys of rows, not counts, so rows that appear
or vanish in between neither repeat nor hide others.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from vigia_registry.identity.domain import derive_key
from vigia_runtime.errors import InvalidInput

T = TypeVar("T")
_MAC_BYTES = 16


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Rows of a list, and the token for what follows, or None at the end."""

    items: Sequence[T]
    next_token: str | None


class Pages:
    """Makes and reads page tokens."""

    def __init__(self, secret_key: str) -> None:
        self._key = derive_key(secret_key, "pages")

    def cut(
        self, scope: Sequence[str | None], rows: Sequence[T], limit: int, position: Callable[[T], list[str]]
    ) -> Page[T]:
        """A page of ``limit`` from ``limit + 1`` rows; ``position`` gives a row's key as strings."""
        if len(rows) <= limit:
            return Page(rows, None)
        items = rows[:limit]
        return Page(items, self._write(scope, position(items[-1])))

    def read(self, scope: Sequence[str | None], token: str | None) -> list[str] | None:
        """The position in ``token``, None without one; InvalidInput when it is not ours or of another list."""
        if token is None:
            return None
        try:
            sealed = base64.b64decode(token, validate=True)
        except (binascii.Error, ValueError) as error:
            raise _invalid() from error
        if base64.b64encode(sealed).decode() != token:  # bits that decoding ignores
            raise _invalid()
        mac, body = sealed[:_MAC_BYTES], sealed[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(scope, body)):
            raise _invalid()
        position: list[str] = json.loads(body)
        return position

    def _write(self, scope: Sequence[str | None], position: list[str]) -> str:
        body = json.dumps(position, separators=(",", ":")).encode()
        return base64.b64encode(self._mac(scope, body) + body).decode()

    def _mac(self, scope: Sequence[str | None], body: bytes) -> bytes:
        context = json.dumps(list(scope)).encode()
        return hmac.digest(self._key, len(context).to_bytes(4, "big") + context + body, hashlib.sha256)[:_MAC_BYTES]


def _invalid() -> InvalidInput:
    return InvalidInput("invalid_page_token", "The pagination token is not valid for this list.")
