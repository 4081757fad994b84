"""Things of the core in the protocol's shapes. Times are epoch seconds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from vigia_contracts.base import ObjectRef
from vigia_contracts.training import OutputLocation
from vigia_registry.datasets.domain import Dataset, ImageStats
from vigia_registry.models.domain import AwsStatus, ModelVersion, ModelView
from vigia_registry.packaging.domain import Configuration, PackagingJob, PackagingState
from vigia_registry.projects.domain import Project

Shape = dict[str, Any]
#: What packages models.
_PACKAGING_METHOD = "GreengrassV2"


def epoch(moment: datetime) -> float:
    """Seconds since 1970, to the millisecond."""
    return round(moment.timestamp(), 3)


def project_metadata(project: Project) -> Shape:
    """ProjectMetadata."""
    return {
        "ProjectArn": project.arn,
        "ProjectName": project.name,
        "CreationTimestamp": epoch(project.created_at),
    }


def project_description(project: Project, datasets: list[Dataset]) -> Shape:
    """ProjectDescription."""
    return {**project_metadata(project), "Datasets": [dataset_metadata(dataset) for dataset in datasets]}


def dataset_metadata(dataset: Dataset) -> Shape:
    """DatasetMetadata."""
    return {
        "DatasetType": dataset.kind.value,
        "CreationTimestamp": epoch(dataset.created_at),
        "Status": dataset.state.value,
        "StatusMessage": dataset.status_message,
    }


def dataset_description(project_name: str, dataset: Dataset, stats: ImageStats) -> Shape:
    """DatasetDescription."""
    return {
        "ProjectName": project_name,
        "DatasetType": dataset.kind.value,
        "CreationTimestamp": epoch(dataset.created_at),
        "LastUpdatedTimestamp": epoch(dataset.updated_at),
        "Status": dataset.state.value,
        "StatusMessage": dataset.status_message,
        "ImageStats": {
            "Total": stats.total,
            "Labeled": stats.labeled,
            "Normal": stats.normal,
            "Anomaly": stats.anomaly,
        },
    }


def new_model_metadata(model: ModelVersion) -> Shape:
    """ModelMetadata of a version whose training was just requested, or that is being deleted."""
    return _model_metadata(model, AwsStatus(model.state.value), model.status_message)


def model_metadata(view: ModelView) -> Shape:
    """ModelMetadata."""
    return _model_metadata(view.model, view.status, view.status_message)


def model_description(view: ModelView) -> Shape:
    """ModelDescription."""
    model = view.model
    return _given(
        {
            **model_metadata(view),
            "OutputConfig": {"S3Location": _location(model.output)},
            "EvaluationManifest": _object(model.evaluation_manifest),
            "EvaluationResult": _object(model.evaluation_result),
            "EvaluationEndTimestamp": None if model.evaluation_ended_at is None else epoch(model.evaluation_ended_at),
            "KmsKeyId": model.kms_key_id,
            "MinInferenceUnits": view.min_units,
            "MaxInferenceUnits": view.max_units,
        }
    )


def tag_list(tags: Mapping[str, str]) -> list[Shape]:
    """TagList."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def packaging_metadata(project_name: str, job: PackagingJob) -> Shape:
    """ModelPackagingJobMetadata."""
    return _given(
        {
            "JobName": job.name,
            "ProjectName": project_name,
            "ModelVersion": str(job.model_version),
            "ModelPackagingJobDescription": job.description,
            "ModelPackagingMethod": _PACKAGING_METHOD,
            "Status": job.state.value,
            "StatusMessage": job.status_message,
            "CreationTimestamp": epoch(job.created_at),
            "LastUpdatedTimestamp": epoch(job.updated_at),
        }
    )


def packaging_description(project_name: str, job: PackagingJob) -> Shape:
    """ModelPackagingDescription; what was made is told once it is there."""
    made = {
        "ComponentVersionArn": job.component_version_arn,
        "ComponentName": job.component_name,
        "ComponentVersion": job.component_version,
    }
    return _given(
        {
            **packaging_metadata(project_name, job),
            "ModelPackagingConfiguration": {"Greengrass": _greengrass(job.configuration)},
            "ModelPackagingOutputDetails": {"Greengrass": made} if job.state is PackagingState.SUCCEEDED else None,
        }
    )


def _greengrass(configuration: Configuration) -> Shape:
    platform = configuration.platform
    return _given(
        {
            "CompilerOptions": configuration.compiler_options,
            "TargetDevice": configuration.device,
            "TargetPlatform": None
            if platform is None
            else _given({"Os": platform.os, "Arch": platform.arch, "Accelerator": platform.accelerator}),
            "S3OutputLocation": _location(configuration.output),
            "ComponentName": configuration.component_name,
            "ComponentVersion": configuration.component_version,
            "ComponentDescription": configuration.component_description,
            "Tags": tag_list(configuration.tags),
        }
    )


def _model_metadata(model: ModelVersion, status: AwsStatus, message: str) -> Shape:
    metrics = model.metrics
    return _given(
        {
            "CreationTimestamp": epoch(model.created_at),
            "ModelVersion": str(model.version),
            "ModelArn": model.arn,
            "Description": model.description,
            "Status": status.value,
            "StatusMessage": message,
            "Performance": None
            if metrics is None
            else {"F1Score": metrics.f1, "Recall": metrics.recall, "Precision": metrics.precision},
        }
    )


def _object(ref: ObjectRef | None) -> Shape | None:
    return None if ref is None else {"Bucket": ref.bucket, "Key": ref.key}


def _location(location: OutputLocation) -> Shape:
    return {"Bucket": location.bucket, "Prefix": location.prefix}


def _given(shape: Shape) -> Shape:
    return {name: value for name, value in shape.items() if value is not None}


def page(member: str, items: list[Any], next_token: str | None) -> Shape:
    """A page of a list."""
    return _given({member: items, "NextToken": next_token})
