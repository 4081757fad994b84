"""Addresses of cameras without their secrets: those come from the environment or from files, and are never shown.

``${NAME}`` is a variable of the environment, ``${file:PATH}`` the content of a file; a path is as seen from the file
that names it. Where a reference is only a part of the address its value is percent-encoded, so that a password may have
any characters; where it is all of it, it is taken as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

#: What stands for what is not shown.
HIDDEN: Final = "***"
_REFERENCE: Final = re.compile(r"\$\{(?P<file>file:)?(?P<name>[^}]*)\}")
_PASSWORD: Final = re.compile(r"://[^/?#]*:(?P<password>[^/?#]*)@")
_LARGEST: Final = 64 * 1024


class SecretError(ValueError):
    """A reference leads nowhere, or a secret is written down; the text shows no secret."""


def resolve(address: str, folder: Path, environment: Mapping[str, str]) -> tuple[str, set[str]]:
    """The address with its references replaced, and every form of a value that must not be shown; SecretError."""
    written = _PASSWORD.search(_REFERENCE.sub("", address))
    if written is not None and written["password"]:
        raise SecretError("a password is written in the address; give it as ${NAME} or ${file:PATH}")
    whole = _REFERENCE.fullmatch(address)
    if whole is not None:
        value = _value(whole, folder, environment)
        return value, {value}
    hidden: set[str] = set()

    def encoded(match: re.Match[str]) -> str:
        value = _value(match, folder, environment)
        hidden.update((value, quote(value, safe="")))
        return quote(value, safe="")

    return _REFERENCE.sub(encoded, address), hidden


def shown(address: str) -> str:
    """The address as an installation shows it: without user, password, query and fragment."""
    scheme, separator, rest = address.partition("://")
    if not separator:
        scheme, rest = "", address
    if "@" in rest:
        rest = f"{HIDDEN}@{rest.rsplit('@', 1)[1]}"
    head, mark, _ = rest.partition("?")
    return f"{scheme}{separator}{f'{head}?{HIDDEN}' if mark else head}".partition("#")[0]


def _value(match: re.Match[str], folder: Path, environment: Mapping[str, str]) -> str:
    name = match["name"]
    if match["file"] is None:
        value = environment.get(name)
        if not value:
            raise SecretError(f"{name} is not set in the environment")
        return value
    try:
        with (folder / name).open("rb") as file:
            value = file.read(_LARGEST).decode().strip()
    except (OSError, ValueError) as error:
        raise SecretError(f"file {name} cannot be read: {getattr(error, 'strerror', None) or 'not text'}") from error
    if not value:
        raise SecretError(f"file {name} is empty")
    return value
