"""Things of the core in the protocol's shapes. Times are epoch seconds; what may be indexed unasked is always there."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from vigia_contracts.ground_truth import Problem, with_errors
from vigia_registry.datasets.domain import (
    Dataset,
    DatasetKind,
    DatasetState,
    EntryStats,
    LabelUse,
    ListedEntry,
    dataset_arn,
)
from vigia_registry.projects.domain import Project, ProjectState

Shape = dict[str, Any]
_LISTED = "cl-metadata"
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
        "StatusMessageCode": "SUCCESS" if dataset.fault is None else dataset.fault.value,
    }


def dataset_description(dataset: Dataset) -> Shape:
    """DatasetDescription."""
    stats = dataset.stats or EntryStats()
    return {
        "CreationTimestamp": epoch(dataset.created_at),
        "LastUpdatedTimestamp": epoch(dataset.updated_at),
        **dataset_status(dataset),
        "DatasetStats": {
            "LabeledEntries": stats.labeled,
            "TotalEntries": stats.total,
            "TotalLabels": len(stats.labels),
            "ErrorEntries": stats.faulty,
        },
    }


def dataset_entry(entry: ListedEntry) -> str:
    """An entry of a list: its line, with what is known of it put in under names of its own."""
    labeled = bool(entry.labeled)
    if not entry.errors and f'"{_LISTED}"' not in entry.line:
        # As it came, to the last digit.
        return f'{entry.line[:-1].rstrip()}, "{_LISTED}": {{"is_labeled": {json.dumps(labeled)}}}}}'
    problems = [Problem(error["code"], error["message"], tuple(error["where"])) for error in entry.errors or ()]
    return with_errors(json.loads(entry.line), problems, "cl-errors", labeled)


def dataset_label(label: LabelUse) -> Shape:
    """DatasetLabelDescription."""
    boxes = {"BoundingBoxCount": label.boxed} if label.boxed else {}
    return {"LabelName": label.name, "LabelStats": {"EntryCount": label.images, **boxes}}


def page(member: str, items: list[Any], next_token: str | None) -> Shape:
    """A page of a list. At its end there is no token at all: clients go on while there is one."""
    return {member: items} if next_token is None else {member: items, "NextToken": next_token}
