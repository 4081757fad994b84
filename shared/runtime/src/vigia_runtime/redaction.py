"""What must never be printed: passwords in URLs, tokens in queries, secrets by name. Fails closed: rather too much."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic import SecretBytes, SecretStr

HIDDEN: Final = "***"

_WORDS = (
    r"password|passwd|pwd|passphrase|secret|token|credential|authorization|signature|api[_-]?key|private[_-]?key"
    r"|access[_-]?key|session[_-]?key|cookie"
)
_SECRET_NAME: Final = re.compile(_WORDS, re.IGNORECASE)
#: An access key id names a key and is not the key.
_PUBLIC_NAME: Final = re.compile(r"^(access_?key_?id|secret_?name|token_?type)$", re.IGNORECASE)
#: user:password@ with or without a scheme. Greedy: a password may itself contain "@", "/" and ":".
_USERINFO: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*://)?[^\s\"'<>|]*:[^\s\"'<>]*@")
_SCHEME_USER: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*://)[^\s]*@")
_QUERY: Final = re.compile(r"(?P<head>[^\s?\"'<>]*(?:://|/)[^\s?\"'<>]*)\?[^\s\"'<>]*=[^\s\"'<>]*")
_ASSIGNED: Final = re.compile(
    rf"(?P<name>[\w\-]*(?:{_WORDS})[\w\-]*[\"']?\s*[:=]\s*)(?P<value>\"[^\"]*\"|'[^']*'|(?:(?:bearer|basic)\s+)?[^\s,;&)}}]+)",
    re.IGNORECASE,
)
_SCHEME_TOKEN: Final = re.compile(r"\b(?P<kind>bearer|basic)\s+[A-Za-z0-9+/=_.\-]{6,}", re.IGNORECASE)


def redact_url(url: str) -> str:
    """``url`` without user, password, query and fragment. Anything that cannot be read as a URL loses the same."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "", url
    if "@" in rest:
        rest = f"{HIDDEN}@{rest.rsplit('@', 1)[1]}"
    head, mark, _ = rest.partition("?")
    if mark:
        head = f"{head}?{HIDDEN}"
    head = head.partition("#")[0]
    return f"{scheme}{separator}{head}"


def scrub(text: str) -> str:
    """``text`` with credentials inside URLs, query values and ``name=secret`` pairs replaced."""
    if "@" in text:
        text = _SCHEME_USER.sub(lambda m: f"{m['scheme']}{HIDDEN}@", text)
        text = _USERINFO.sub(lambda m: f"{m['scheme'] or ''}{HIDDEN}@", text)
    if "?" in text:
        text = _QUERY.sub(lambda m: f"{m['head']}?{HIDDEN}", text)
    text = _ASSIGNED.sub(lambda m: f"{m['name']}{HIDDEN}", text)
    return _SCHEME_TOKEN.sub(lambda m: f"{m['kind']} {HIDDEN}", text)


def is_secret_name(name: str) -> bool:
    """Whether a field of this name holds something that must not be printed."""
    return bool(_SECRET_NAME.search(name)) and not _PUBLIC_NAME.match(name)


def scrub_value(name: str, value: Any, depth: int = 0) -> Any:
    """``value`` as it may be logged under ``name``; containers are walked, five levels deep."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if is_secret_name(name) or isinstance(value, (SecretStr, SecretBytes)):
        return HIDDEN
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if depth >= 5:
        return HIDDEN
    if isinstance(value, Mapping):
        return {str(key): scrub_value(str(key), item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [scrub_value("", item, depth + 1) for item in value]
    return scrub(str(value))
