"""Objects encrypted at rest: envelope encryption with a key per account, or with a key that the account names.

Every object has a data key of its own (AES-256-GCM), which is wrapped (RFC 3394) by the account's key or by a named
one and travels in the object's head. Account keys are derived from one root key, so a new account needs no new secret;
named keys are files, as a Kubernetes secret or a folder gives them. What a sealed object is called is authenticated
with it: one that was moved or exchanged is refused.

After the head come pieces of 1 MiB, each authenticated with its place, the last one marked: objects of any size are
sealed and opened as they pass by, and one that was cut, or whose pieces were put in another order, is refused at the
piece where that shows.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from vigia_runtime.errors import InvalidInput, Unavailable

_MAGIC: Final = b"VGS2"
#: Of objects that are one piece with a nonce of its own. They are opened still, and not written any more.
_MAGIC_WHOLE: Final = b"VGS1"
_LENGTH_BYTES: Final = 2
_PIECE: Final = 1024 * 1024
_TAG_BYTES: Final = 16
#: More bytes than a head has.
_MOST_HEAD: Final = 1024
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
        sealing = self.sealing(seal, name)
        return sealing.update(data) + sealing.finalize()

    def sealing(self, seal: Seal, name: str) -> Sealing:
        """What seals an object as it passes by; UnknownKey."""
        key = _key_name(seal)
        wrapping = next(self._keys(key))
        data_key = AESGCM.generate_key(256)
        head = json.dumps({"key": key, "wrapped": _text(aes_key_wrap(wrapping, data_key))}, separators=(",", ":"))
        return Sealing(AESGCM(data_key), head.encode(), name)

    def open(self, data: bytes, name: str) -> bytes:
        """What was sealed under ``name``; SealError."""
        opening = self.opening(name)
        return opening.update(data) + opening.finalize()

    def opening(self, name: str) -> Opening:
        """What opens an object as it passes by."""
        return Opening(self._data_key, name)

    def _data_key(self, fields: Mapping[str, Any]) -> AESGCM:
        """The key of an object with the head ``fields``; UnknownKey, ValueError, KeyError, TypeError."""
        return AESGCM(self._unwrap(str(fields["key"]), _bytes(fields["wrapped"])))

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


class Sealing:
    """Seals one object: what ``update`` and, once, ``finalize`` return is what to store, in that order."""

    def __init__(self, cipher: AESGCM, head: bytes, name: str) -> None:
        self._cipher = cipher
        self._bound = head + name.encode()
        self._out = b"".join((_MAGIC, len(head).to_bytes(_LENGTH_BYTES, "big"), head))
        self._rest = bytearray()
        self._count = 0

    def update(self, data: bytes) -> bytes:
        """Takes the next bytes of the object."""
        self._rest += data
        out, self._out = [self._out], b""
        # What may be the end is kept until it is known whether it is.
        while len(self._rest) > _PIECE:
            out.append(self._sealed(bytes(self._rest[:_PIECE]), last=False))
            del self._rest[:_PIECE]
        return b"".join(out)

    def finalize(self) -> bytes:
        """There is no more of the object."""
        return self._out + self._sealed(bytes(self._rest), last=True)

    def _sealed(self, piece: bytes, last: bool) -> bytes:
        nonce = _nonce(self._count, last)
        self._count += 1
        return self._cipher.encrypt(nonce, piece, self._bound)


class Opening:
    """Opens one object: what ``update`` and, once, ``finalize`` return is its content, in that order.

    SealError by either. What was returned before it is as it was sealed. Holds two pieces; of an object written as one
    piece all of it.
    """

    def __init__(self, data_key: Callable[[Mapping[str, Any]], AESGCM], name: str) -> None:
        self._data_key = data_key
        self._name = name
        self._rest = bytearray()
        self._count = 0
        self._cipher: AESGCM | None = None
        self._bound = b""
        self._whole: bytes | None = None

    def update(self, data: bytes) -> bytes:
        """Takes the next bytes that were stored."""
        with self._refusing():
            self._rest += data
            if self._cipher is None and not self._read_head():
                return b""
            out = []
            while self._whole is None and len(self._rest) > _PIECE + _TAG_BYTES:
                out.append(self._opened(bytes(self._rest[: _PIECE + _TAG_BYTES]), last=False))
                del self._rest[: _PIECE + _TAG_BYTES]
            return b"".join(out)

    def finalize(self) -> bytes:
        """There is no more of what was stored."""
        with self._refusing():
            if self._cipher is None:
                raise ValueError("its head is not whole")
            return self._opened(bytes(self._rest), last=True)

    def _read_head(self) -> bool:
        """Whether the head has come whole; it is taken off then."""
        start = len(_MAGIC) + _LENGTH_BYTES
        if len(self._rest) < start:
            return False
        end = start + int.from_bytes(self._rest[len(_MAGIC) : start], "big")
        if len(self._rest) < end:
            return False
        head = bytes(self._rest[start:end])
        fields = json.loads(head)
        self._cipher = self._data_key(fields)
        self._bound = head + self._name.encode()
        if self._rest.startswith(_MAGIC_WHOLE):
            self._whole = _bytes(fields["nonce"])
        del self._rest[:end]
        return True

    def _opened(self, piece: bytes, last: bool) -> bytes:
        assert self._cipher is not None
        nonce = _nonce(self._count, last) if self._whole is None else self._whole
        self._count += 1
        return self._cipher.decrypt(nonce, piece, self._bound)

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except UnknownKey as error:
            raise SealError(f"{self._name}: {error.message}") from error
        except (ValueError, KeyError, TypeError, binascii.Error, InvalidTag) as error:
            raise SealError(f"{self._name} is damaged, or is not what was stored under this name") from error


def is_sealed(data: bytes) -> bool:
    """Whether these are the bytes, or the first bytes, of a sealed object."""
    return data.startswith((_MAGIC, _MAGIC_WHOLE))


def opens_as_one(data: bytes) -> bool:
    """Whether a sealed object that begins with these bytes has to be held as a whole to be opened."""
    return data.startswith(_MAGIC_WHOLE)


def most_sealed(size: int) -> int:
    """At most so many bytes are stored of an object with ``size`` bytes."""
    return size + _MOST_HEAD + (size // _PIECE + 1) * _TAG_BYTES


def _nonce(count: int, last: bool) -> bytes:
    """No two pieces of an object have the same one, and no two objects the same key."""
    return count.to_bytes(_NONCE_BYTES - 1, "big") + bytes((last,))


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
