"""Objects encrypted at rest: envelope encryption with a key per account, or with a key that the account names.

Every object has a data key of its own (AES-256-GCM), which is wrapped (RFC 3394) by the account's key or by a named
one and travels in the object's head. Account keys are derived from one root key, so a new account needs no new secret;
named keys are files, as a Kubernetes secret or a folder gives them. What a sealed object is called is authenticated
with it: one that was moved or exchanged is refused.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from vigia_runtime.errors import InvalidInput, Unavailable

_MAGIC: Final = b"VGS1"
_LENGTH_BYTES: Final = 2
_NONCE_BYTES: Final = 12
#: Least characters of a key as it is written in a file.
_LEAST: Final = 32
_ACCOUNT: Final = re.compile(r"[0-9]{12}")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-]{0,127}")
_ARN: Final = re.compile(r"arn:aws[a-z\-]*:kms:(?P<region>[a-z0-9\-]*):(?P<account>[0-9]{12}):(?P<rest>.+)")


class SealError(Unavailable):
    """A sealed object that cannot be opened: its key is not here, or it is not what was written under its name."""

    def __init__(self, message: str) -> None:
        super().__init__("sealed", message, retryable=False)


class UnknownKey(InvalidInput):
    """A key that this installation does not have."""

    def __init__(self, key_id: str) -> None:
        super().__init__("unknown_key", f"The key {key_id} does not exist, or the account may not use it.")


@dataclass(frozen=True, slots=True)
class Seal:
    """Whose object this is, and the key (as the account names it) that seals it; None: the account's own."""

    account_id: str
    key_id: str | None = None


class Keyring:
    """The keys of an installation.

    ``roots``: root keys, the first one seals, all of them open. ``folder``: named keys, a file each, called
    ``<account>.<name>``; they are read when they are needed, so a new one works at once.
    """

    def __init__(self, roots: Sequence[str], folder: Path | None = None) -> None:
        if not roots or any(len(root) < _LEAST for root in roots):
            raise ValueError(f"a root key needs at least {_LEAST} characters")
        self._roots = [root.encode() for root in roots]
        self._folder = folder

    def check(self, seal: Seal) -> None:
        """UnknownKey where ``seal`` names a key that the account does not have."""
        next(self._keys(_key_name(seal)), None)

    def seal(self, data: bytes, seal: Seal, name: str) -> bytes:
        """``data`` sealed to be stored under ``name`` (bucket and key); UnknownKey."""
        key = _key_name(seal)
        wrapping = next(self._keys(key))
        data_key = AESGCM.generate_key(256)
        nonce = os.urandom(_NONCE_BYTES)
        head = json.dumps(
            {"key": key, "wrapped": _text(aes_key_wrap(wrapping, data_key)), "nonce": _text(nonce)},
            separators=(",", ":"),
        ).encode()
        sealed = AESGCM(data_key).encrypt(nonce, data, head + name.encode())
        return b"".join((_MAGIC, len(head).to_bytes(_LENGTH_BYTES, "big"), head, sealed))

    def open(self, data: bytes, name: str) -> bytes:
        """What was sealed under ``name``; SealError."""
        try:
            start = len(_MAGIC) + _LENGTH_BYTES
            end = start + int.from_bytes(data[len(_MAGIC) : start], "big")
            head = data[start:end]
            fields = json.loads(head)
            key, wrapped, nonce = str(fields["key"]), _bytes(fields["wrapped"]), _bytes(fields["nonce"])
            data_key = self._unwrap(key, wrapped)
            return AESGCM(data_key).decrypt(nonce, data[end:], head + name.encode())
        except UnknownKey as error:
            raise SealError(f"{name}: {error.message}") from error
        except (ValueError, KeyError, TypeError, binascii.Error, InvalidTag) as error:
            raise SealError(f"{name} is damaged, or is not what was stored under this name") from error

    def _unwrap(self, key: str, wrapped: bytes) -> bytes:
        for wrapping in self._keys(key):
            try:
                return aes_key_unwrap(wrapping, wrapped)
            except InvalidUnwrap:
                continue
        raise ValueError("no key of that name opens it")

    def _keys(self, name: str) -> Iterator[bytes]:
        """The wrapping keys called ``name``, the one that seals first; UnknownKey."""
        if name.startswith("account/"):
            for root in self._roots:
                yield _derived(root, name)
            return
        file = name.removeprefix("named/")
        try:
            text = (self._folder / file).read_text().strip() if self._folder is not None else ""
        except (OSError, UnicodeDecodeError):
            text = ""
        if len(text) < _LEAST:
            raise UnknownKey(file.partition(".")[2])
        yield _derived(text.encode(), name)


def is_sealed(data: bytes) -> bool:
    """Whether these are the bytes, or the first bytes, of a sealed object."""
    return data.startswith(_MAGIC)


def _key_name(seal: Seal) -> str:
    if _ACCOUNT.fullmatch(seal.account_id) is None:
        raise ValueError(f"{seal.account_id!r} is no account")
    if seal.key_id is None:
        return f"account/{seal.account_id}"
    return f"named/{seal.account_id}.{_short(seal)}"


def _short(seal: Seal) -> str:
    """The name in a key's id: ``name``, ``alias/name``, or the ARN of either in the account itself."""
    assert seal.key_id is not None
    rest = seal.key_id
    if (arn := _ARN.fullmatch(rest)) is not None:
        if arn["account"] != seal.account_id:
            raise UnknownKey(seal.key_id)
        rest = arn["rest"].removeprefix("key/")
    name = rest.removeprefix("alias/")
    if _NAME.fullmatch(name) is None:
        raise UnknownKey(seal.key_id)
    return name


def _derived(secret: bytes, name: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=f"vigia sealing {name}".encode()).derive(secret)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
