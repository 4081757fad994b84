"""Things of the core in the protocol's shapes. Times are epoch seconds; what may be indexed unasked is always there."""

from __future__ import annotations

import json
from datetime import datetime
from math import ceil
from typing import Any, Final

from vigia_contracts.base import ObjectRef
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
from vigia_registry.models.domain import ModelVersion, ModelView, VersionStatus
from vigia_registry.policies.domain import ProjectPolicy
from vigia_registry.projects.domain import Project, ProjectState

Shape = dict[str, Any]
_LISTED = "cl-metadata"
_STATES = {
    DatasetState.UPDATE_FAILED_ROLLBACK_IN_PROGRESS: "UPDATE_IN_PROGRESS",
    DatasetState.UPDATE_FAILED_ROLLBACK_COMPLETE: "UPDATE_FAILED",
}
#: What clients know these statuses by; of others the version itself says more.
_STATUS_TEXTS: Final = {
    VersionStatus.TRAINING_COMPLETED: "The model is ready to run.",
    VersionStatus.COPYING_COMPLETED: "The model was copied and is ready to run.",
    VersionStatus.STOPPED: "The model has stopped running.",
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


def version_description(view: ModelView) -> Shape:
    """ProjectVersionDescription."""
    model, status = view.model, view.version_status
    told: Shape = {
        "ProjectVersionArn": model.arn,
        "CreationTimestamp": epoch(model.created_at),
        "Status": status.value,
        "StatusMessage": _STATUS_TEXTS.get(status, view.status_message),
        "OutputConfig": {"S3Bucket": model.output.bucket, "S3KeyPrefix": model.output.prefix},
        "Feature": "CUSTOM_LABELS",
        "MinInferenceUnits": view.min_units,
        "MaxInferenceUnits": view.max_units,
        "KmsKeyId": model.kms_key_id,
        "SourceProjectVersionArn": model.source_arn,
        "VersionDescription": model.description,
        **_results(model),
    }
    return {name: value for name, value in told.items() if value is not None}


def _results(model: ModelVersion) -> Shape:
    """What training took, told and left; nothing of it while it runs, nor where the fault was ours."""
    checks, metrics = model.checks, model.metrics
    told: Shape = {}
    if checks is not None:
        told["ManifestSummary"] = _manifest(checks.summary)
    if metrics is not None:
        told["BillableTrainingTimeInSeconds"] = None if model.training_seconds is None else ceil(model.training_seconds)
        told["TrainingEndTimestamp"] = None if model.evaluation_ended_at is None else epoch(model.evaluation_ended_at)
        told["EvaluationResult"] = {"F1Score": metrics.f1}
        if model.evaluation_result is not None:
            told["EvaluationResult"]["Summary"] = _manifest(model.evaluation_result)
    if checks is None and metrics is None:
        return told
    given = model.given
    # Of a copy nobody says any more what it was trained on.
    training, testing = {}, {}
    if model.source_arn is None:
        split = model.test_manifest is None
        training["Input"] = _assets(None if given is None else given.training)
        testing["Input"] = {**_assets(None if given is None else given.testing), "AutoCreate": split}
    if model.training_snapshot is not None:
        training["Output"] = _assets(model.training_snapshot)
    if model.evaluation_manifest is not None:
        testing["Output"] = _assets(model.evaluation_manifest)
    if checks is not None:
        training["Validation"], testing["Validation"] = _assets(checks.training), _assets(checks.testing)
    return {**told, "TrainingDataResult": training, "TestingDataResult": testing}


def _assets(ref: ObjectRef | None) -> Shape:
    return {"Assets": [] if ref is None else [{"GroundTruthManifest": _manifest(ref)}]}


def _manifest(ref: ObjectRef) -> Shape:
    return {"S3Object": {"Bucket": ref.bucket, "Name": ref.key}}


def policy(project_arn: str, policy: ProjectPolicy) -> Shape:
    """ProjectPolicy."""
    return {
        "ProjectArn": project_arn,
        "PolicyName": policy.name,
        "PolicyRevisionId": policy.revision_id,
        "PolicyDocument": policy.document,
        "CreationTimestamp": epoch(policy.created_at),
        "LastUpdatedTimestamp": epoch(policy.updated_at),
    }


def page(member: str, items: list[Any], next_token: str | None) -> Shape:
    """A page of a list. At its end there is no token at all: clients go on while there is one."""
    return {member: items} if next_token is None else {member: items, "NextToken": next_token}
