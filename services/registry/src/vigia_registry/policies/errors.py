"""What can go wrong with project policies."""

from __future__ import annotations

from vigia_registry.errors import Resource, about
from vigia_runtime.errors import Conflict, InvalidInput, LimitExceeded, NotFound


class PolicyMalformed(InvalidInput):
    """A document that is no project policy; ``problem`` names the place."""

    def __init__(self, problem: str) -> None:
        super().__init__("policy_malformed", f"The project policy is not valid: {problem}.")


class PolicyNotFound(NotFound):
    def __init__(self, project: str, name: str) -> None:
        super().__init__(
            "policy_not_found", f"Project {project} has no policy {name}.", about(Resource.PROJECT, project)
        )


class PolicyExists(Conflict):
    """It is there already, and a revision id was not given."""

    def __init__(self, project: str, name: str) -> None:
        super().__init__(
            "policy_exists",
            f"Project {project} already has a policy {name}; to change it, give its revision id.",
            about(Resource.PROJECT, project),
        )


class WrongRevision(Conflict):
    """The policy was changed since, or there is none of the name."""

    def __init__(self, project: str, name: str, revision_id: str) -> None:
        super().__init__(
            "policy_revision",
            f"{revision_id} is not the latest revision of the policy {name} of project {project}.",
            about(Resource.PROJECT, project),
        )


class TooManyPolicies(LimitExceeded):
    def __init__(self, project: str, limit: int) -> None:
        super().__init__(
            "policies_per_project",
            f"Project {project} already has {limit} policies, the most it may have.",
            about(Resource.PROJECT, project),
        )
