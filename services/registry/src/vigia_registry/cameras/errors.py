"""What can go wrong with cameras."""

from __future__ import annotations

from vigia_runtime.errors import Conflict, InvalidInput, NotFound


class CameraNotFound(NotFound):
    def __init__(self, camera_id: str) -> None:
        super().__init__("camera_not_found", f"Camera {camera_id} does not exist.", {"camera_id": camera_id})


class CameraIdTaken(Conflict):
    """Another account or region has it: ids are unique in the installation."""

    def __init__(self, camera_id: str) -> None:
        super().__init__("camera_id_taken", f"Camera id {camera_id} cannot be used here.", {"camera_id": camera_id})


class BadCamera(InvalidInput):
    """One field of a camera breaks a rule that its type does not tell."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(
            "invalid_input", f"{field}: {message}", {"problems": [{"where": f"body.{field}", "message": message}]}
        )
