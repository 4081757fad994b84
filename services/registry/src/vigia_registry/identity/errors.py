"""What can go wrong with keys."""

from __future__ import annotations

from vigia_runtime.errors import NotFound


class NoSuchKey(NotFound):
    """No such key, or none that may sign."""

    def __init__(self, access_key_id: str) -> None:
        super().__init__("no_such_key", f"The access key {access_key_id} is not valid.")
