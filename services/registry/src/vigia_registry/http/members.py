"""Constraints of members that both AWS protocols know. Messages are worded as AWS words them."""

from __future__ import annotations

import re
import unicodedata
from typing import Any, Final

from vigia_runtime.errors import InvalidInput

#: How much of a wrong value an error repeats, characters.
_SHOWN: Final = 256
_REGION: Final = re.compile(r"[a-z0-9-]{1,32}")
_KMS_KEY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9:_/+=,@.-]{0,2048}")
_TAG: Final = r"^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$"
_TAG_MARKS: Final = frozenset("_.:/=+-@")


def invalid(value: object, name: str, constraint: str) -> InvalidInput:
    """A violated constraint of one member; of a long value only the beginning is repeated."""
    shown = str(value)
    if len(shown) > _SHOWN:
        shown = shown[:_SHOWN] + "..."
    return InvalidInput(
        "validation",
        f"1 validation error detected: Value '{shown}' at '{name}' failed to satisfy constraint: {constraint}",
        {"member": name},
    )


def text(value: object, name: str, least: int, most: int, pattern: re.Pattern[str] | None = None) -> str:
    """A required text of ``least`` to ``most`` characters that matches ``pattern`` whole."""
    if value is None:
        raise invalid("null", name, "Member must not be null")
    if not isinstance(value, str):
        raise invalid(value, name, "Member must be a string")
    if len(value) < least:
        raise invalid(value, name, f"Member must have length greater than or equal to {least}")
    if len(value) > most:
        raise invalid(value, name, f"Member must have length less than or equal to {most}")
    if pattern is not None and pattern.fullmatch(value) is None:
        raise invalid(value, name, f"Member must satisfy regular expression pattern: {pattern.pattern}")
    if not _storable(value):
        raise invalid("?", name, "Member must not contain NUL or halves of surrogate pairs")
    return value


def _storable(value: str) -> bool:
    try:
        return b"\0" not in value.encode()
    except UnicodeEncodeError:
        return False


def optional_text(
    value: object, name: str, least: int, most: int, pattern: re.Pattern[str] | None = None
) -> str | None:
    """As ``text``; None where nothing was given."""
    return None if value is None else text(value, name, least, most, pattern)


def structure(value: object, name: str) -> dict[str, Any]:
    """A required structure."""
    if value is None:
        raise invalid("null", name, "Member must not be null")
    if not isinstance(value, dict):
        raise invalid(value, name, "Member must be a structure")
    return value


def region(value: str) -> str:
    """The region that a request was signed for."""
    return text(value, "region", 1, 32, _REGION)


def inference_units(value: object, name: str) -> int:
    """A number of inference units."""
    if value is None:
        raise invalid("null", name, "Member must not be null")
    if isinstance(value, bool) or not isinstance(value, int):
        raise invalid(value, name, "Member must be an integer")
    if value < 1:
        raise invalid(value, name, "Member must have value greater than or equal to 1")
    return value


def kms_key(value: object) -> str | None:
    """The name of an encryption key."""
    return optional_text(value, "kmsKeyId", 1, 2048, _KMS_KEY)


def tag_text(value: object, name: str, least: int, most: int) -> str:
    """A key or a value of a tag."""
    found = text(value, name, least, most)
    # Letters, separators and numbers of any script: re has no names for them.
    if not all(mark in _TAG_MARKS or unicodedata.category(mark)[0] in "LZN" for mark in found):
        raise invalid(found, name, f"Member must satisfy regular expression pattern: {_TAG}")
    return found
