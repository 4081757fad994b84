"""Which hosted version a request means."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, get_args

from vigia_contracts.deployments import Deployment
from vigia_vision.manifest import LabelKind

LATEST = "latest"
_GIVING_LABELS: Final = frozenset(get_args(LabelKind))


def find_hosted(
    deployments: Iterable[tuple[str, Deployment]], *, account_id: str, region: str | None, project: str, version: str
) -> Deployment | None:
    """The serving deployment announced under its model ARN that the caller's account, project and version name.

    ``latest`` is the highest version that is hosted. ``region`` None takes any. Models that give labels judge no
    images and are not meant, whatever their project is called.
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
        and deployment.manifest.get("kind") not in _GIVING_LABELS
    ]
    return max(candidates, key=lambda deployment: int(deployment.model_version), default=None)
