"""Things of the core in the protocol's shapes. Times are epoch seconds; what may be indexed unasked is always there."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from vigia_registry.datasets.domain import Dataset, DatasetKind, DatasetState
from vigia_registry.projects.domain import Project, ProjectState, milliseconds

Shape = dict[str, Any]
_STATES = {
    DatasetState.UPDATE_FAILED_ROLLBACK_IN_PROGRESS: "UPDATE_IN_PROGRESS",
    DatasetState.UPDATE_FAILED_ROLLBACK_COMPLETE: "UPDATE_FAILED",
}


def epoch(moment: datetime) -> float:
    """Seconds since 1970, to the millisecond."""
    return round(moment.timestamp(), 3)


def project_description(project: Project, datasets: list[Dataset]) -> Shape:
    """ProjectDescription."""
    return {
        "ProjectArn": project.arn,
        "CreationTimestamp": epoch(project.created_at),
        "Status": "CREATED" if project.state is ProjectState.ACTIVE else "DELETING",
        "Datasets": [dataset_metadata(project, dataset) for dataset in datasets],
        "Feature": "CUSTOM_LABELS",
        "AutoUpdate": "DISABLED",
    }


def dataset_arn(project: Project, dataset: Dataset) -> str:
    """The dataset's ARN; the time of its creation tells it from others that the project had."""
    own = f"arn:aws:rekognition:{project.region}:{project.account_id}:project/{project.name}"
    return f"{own}/dataset/{dataset.kind.value}/{milliseconds(dataset.created_at)}"


def dataset_metadata(project: Project, dataset: Dataset) -> Shape:
    """DatasetMetadata."""
    return {
        "CreationTimestamp": epoch(dataset.created_at),
        "DatasetType": "TRAIN" if dataset.kind is DatasetKind.TRAIN else "TEST",
        "DatasetArn": dataset_arn(project, dataset),
        **dataset_status(dataset),
    }


def dataset_status(dataset: Dataset) -> Shape:
    """What became of the last operation on a dataset."""
    return {
        "Status": _STATES.get(dataset.state, dataset.state.value),
        "StatusMessage": dataset.status_message,
        "StatusMessageCode": dataset.fault or "SUCCESS",
    }


def page(member: str, items: list[Any], next_token: str | None) -> Shape:
    """A page of a list. At its end there is no token at all: clients go on while there is one."""
    return {member: items} if next_token is None else {member: items, "NextToken": next_token}
