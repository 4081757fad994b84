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
# Everything below takes time in proportion to the text's length, whatever is in it: texts of strangers are scrubbed.
_WORD: Final = re.compile(r"\S+")
#: What a URL without blanks and quotation marks may consist of.
_RUN: Final = re.compile(r"[^\s\"'<>]+")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://")
#: The end of one, from its last letter on.
_SCHEME_END: Final = re.compile(r"[A-Za-z][0-9+.\-]*://")
_ASSIGNED: Final = re.compile(
    rf"(?<![\w\-])(?P<name>(?=[\w\-]*?(?:{_WORDS}))[\w\-]*+[\"']?\s*+[:=]\s*+)"
    r"(?P<value>\"[^\"]*\"|'[^']*'|(?:(?:bearer|basic)\s++)?[^\s,;&)}]+)",
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
        text = _WORD.sub(lambda m: _without_user(m[0]), text)
        text = _RUN.sub(lambda m: _without_password(m[0]), text)
    if "?" in text:
        text = _RUN.sub(lambda m: _without_query(m[0]), text)
    text = _ASSIGNED.sub(lambda m: f"{m['name']}{HIDDEN}", text)
    return _SCHEME_TOKEN.sub(lambda m: f"{m['kind']} {HIDDEN}", text)


def _without_user(word: str) -> str:
    """``scheme://user@host``; a password may itself contain "@", "/" and ":"."""
    scheme = _SCHEME_END.search(word)
    end = word.rfind("@")
    return word if scheme is None or end < scheme.end() else f"{word[: scheme.end()]}{HIDDEN}{word[end:]}"


def _without_password(run: str) -> str:
    """``user:password@host``, with or without a scheme."""
    end = run.rfind("@")
    colon = run.find(":", 0, end) if end >= 0 else -1
    if colon < 0:
        return run
    begin = run.rfind("|", 0, colon) + 1
    scheme = _SCHEME.match(run, begin)
    kept = ""
    if scheme is not None and ":" in run[scheme.end() : end].partition("|")[0]:
        kept = scheme[0]
    return f"{run[:begin]}{kept}{HIDDEN}{run[end:]}"


def _without_query(run: str) -> str:
    """``path?name=value``."""
    begin, mark = 0, run.find("?")
    while mark >= 0:
        if "/" in run[begin:mark]:
            return f"{run[:mark]}?{HIDDEN}" if "=" in run[mark:] else run
        begin = mark + 1
        mark = run.find("?", begin)
    return run


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
