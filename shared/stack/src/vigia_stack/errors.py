"""What can go wrong when parts are started."""

from __future__ import annotations

from pathlib import Path


class StackError(Exception):
    """A part, a step or a supply failed; the message says what and where to look."""


class NotReady(Exception):  # noqa: N818 - a state that passes, not a failure
    """A part does not answer yet."""


def tail(log: Path, lines: int = 25) -> str:
    """Last lines of a log file, or a remark that there is none."""
    if not log.exists():
        return "(no log)"
    text = log.read_bytes()[-64_000:].decode(errors="replace").splitlines()
    return "\n".join(text[-lines:]) or "(empty log)"
