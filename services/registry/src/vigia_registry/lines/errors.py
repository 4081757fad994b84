"""What can go wrong with lines."""

from __future__ import annotations

from vigia_runtime.errors import Conflict, NotFound


class LineNotFound(NotFound):
    def __init__(self, line_id: str) -> None:
        super().__init__("line_not_found", f"Line {line_id} does not exist.", {"line_id": line_id})


class LineExists(Conflict):
    def __init__(self, line_id: str) -> None:
        super().__init__("line_exists", f"Line {line_id} already exists.", {"line_id": line_id})


class LineInUse(Conflict):
    def __init__(self, line_id: str, cameras: int) -> None:
        super().__init__(
            "line_in_use", f"Line {line_id} still has {cameras} camera(s).", {"line_id": line_id, "cameras": cameras}
        )
