"""Which hosted version a request means."""

from __future__ import annotations

from collections.abc import Iterable

from vigia_contracts.deployments import Deployment

LATEST = "latest"


def find_hosted(
    deployments: Iterable[tuple[str, Deployment]], *, account_id: str, region: str | None, project: str, version: str
) -> Deployment | None:
    """The serving deployment announced under its model ARN that the caller's account, project and version name.

    ``latest`` is the highest version that is hosted. ``region`` None takes any.
    """
    candidates = [
        deployment
        for key, deployment in deployments
        if key == deployment.model_arn
        and deployment.state == "serving"
        and deployment.account_id == account_id
        and deployment.project == project
        and (region is None or deployment.region == region)
        and (version in (LATEST, deployment.model_version))
    ]
    return max(candidates, key=lambda deployment: int(deployment.model_version), default=None)
