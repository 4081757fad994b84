"""Bodies of requests: JSON objects, not too deep."""

from __future__ import annotations

import json
from typing import Any, Final

#: A body nests its members a few deep; one that nests them deeper than this has none that is known.
DEEPEST: Final = 32


def members_of(body: bytes) -> dict[str, Any] | None:
    """The body's members; None where it is no JSON object."""
    if not body:
        return {}
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def deeper(value: object, levels: int) -> bool:
    """Whether structures and lists lie in each other more than ``levels`` deep."""
    if not isinstance(value, dict | list):
        return False
    members = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(deeper(member, levels - 1) for member in members)
