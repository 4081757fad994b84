"""What can go wrong with projects."""

from __future__ import annotations

from vigia_registry.errors import Resource, about
from vigia_runtime.errors import Conflict, LimitExceeded, NotFound


class ProjectNotFound(NotFound):
    def __init__(self, name: str) -> None:
        super().__init__("project_not_found", f"Project {name} does not exist.", about(Resource.PROJECT, name))


class ProjectExists(Conflict):
    def __init__(self, name: str) -> None:
        super().__init__("project_exists", f"Project {name} already exists.", about(Resource.PROJECT, name))


class ProjectBeingDeleted(Conflict):
    def __init__(self, name: str) -> None:
        super().__init__("project_deleting", f"Project {name} is being deleted.", about(Resource.PROJECT, name))


class ProjectNotEmpty(Conflict):
    def __init__(self, name: str, datasets: int, models: int) -> None:
        super().__init__(
            "project_not_empty",
            f"Project {name} still has {datasets} dataset(s) and {models} model version(s). Delete them first.",
            about(Resource.PROJECT, name),
        )


class TooManyProjects(LimitExceeded):
    def __init__(self, name: str, limit: int) -> None:
        super().__init__(
            "projects_per_account",
            f"The account already has {limit} projects, the most it may have.",
            about(Resource.PROJECT, name),
        )
