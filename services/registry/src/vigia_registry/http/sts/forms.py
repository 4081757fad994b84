"""Parameters of a request, checked. Messages are worded as AWS words them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from vigia_runtime.errors import InvalidInput

_MOST_PARAMETERS: Final = 100
_SHOWN: Final = 256


def parse(body: bytes) -> dict[str, str]:
    """The form's fields; InvalidInput."""
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_PARAMETERS
        )
    except ValueError:
        raise InvalidInput("not_a_form", "The request body is not a form of at most 100 fields.") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise InvalidInput("given_twice", "The request names a parameter twice.")
    return fields


def text(fields: Mapping[str, str], name: str, least: int, most: int, pattern: str) -> str:
    """A required text of ``least`` to ``most`` characters that matches ``pattern`` whole."""
    value = optional_text(fields, name, least, most, pattern)
    if value is None:
        raise _invalid("null", name, "Member must not be null")
    return value


def optional_text(fields: Mapping[str, str], name: str, least: int, most: int, pattern: str) -> str | None:
    """As ``text``; None where nothing was given."""
    value = fields.get(name)
    if value is None:
        return None
    if not least <= len(value) <= most:
        raise _invalid(value, name, f"Member must have length between {least} and {most}")
    if re.fullmatch(pattern, value, re.DOTALL) is None:
        raise _invalid(value, name, f"Member must satisfy regular expression pattern: {pattern}")
    return value


def seconds(fields: Mapping[str, str], least: int, most: int) -> int | None:
    """DurationSeconds, or None where nothing was given."""
    value = fields.get("DurationSeconds")
    if value is None:
        return None
    if re.fullmatch(r"-?[0-9]{1,9}", value) is None:
        raise _invalid(value, "durationSeconds", "Member must be an integer")
    if int(value) < least:
        raise _invalid(value, "durationSeconds", f"Member must have value greater than or equal to {least}")
    if int(value) > most:
        raise _invalid(value, "durationSeconds", f"Member must have value less than or equal to {most}")
    return int(value)


def members(fields: Mapping[str, str], name: str, member: str, most: int) -> list[str]:
    """A list of structures of one member: ``PolicyArns.member.1.arn`` and so on."""
    given = [key for key in fields if key.startswith(f"{name}.member.")]
    values = [fields[key] for number in range(1, most + 1) if (key := f"{name}.member.{number}.{member}") in fields]
    if len(values) != len(given):
        raise InvalidInput("validation", f"{name} must be a list of at most {most} structures of {member}.")
    return values


def refuse(fields: Mapping[str, str], *names: str) -> None:
    """InvalidInput for parameters that would be ignored, though what they ask matters."""
    for field in fields:
        if field.partition(".")[0] in names:
            raise InvalidInput("not_supported", f"{field.partition('.')[0]} is not supported here.")


def _invalid(value: str, name: str, constraint: str) -> InvalidInput:
    shown = value if len(value) <= _SHOWN else value[:_SHOWN] + "..."
    member = name[:1].lower() + name[1:]
    return InvalidInput(
        "validation",
        f"1 validation error detected: Value '{shown}' at '{member}' failed to satisfy constraint: {constraint}",
    )
