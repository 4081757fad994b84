"""Trains what was brought in, once for each content, and reads what came of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from botocore.exceptions import ClientError

from vigia_client.datasets.delivery import Target
from vigia_client.lookout import Json, UnfinishedError, wait
from vigia_client.migration.evaluation import Figures, figures

_LONGEST_SECONDS: Final = 24 * 3600.0


def train(lookout: Any, target: Target, project: str, digest: str, told: Callable[[str], None]) -> Figures:
    """The figures of a version trained on this content; UnfinishedError, ClientError.

    ``digest`` stands for the content and is the version's description: a second run waits for the first one's version.
    """
    description = f"migration-{digest}"
    version = _known(lookout, project, description)
    if version is None:
        place = {"Bucket": target.bucket, "Prefix": f"{target.prefix}{project}/evaluation"}
        made = lookout.create_model(ProjectName=project, OutputConfig={"S3Location": place}, Description=description)[
            "ModelMetadata"
        ]
        version = str(made["ModelVersion"])

    def look() -> Json:
        found: Json = lookout.describe_model(ProjectName=project, ModelVersion=version)["ModelDescription"]
        return found

    found = wait(
        look,
        lambda status: status == "TRAINING",
        _LONGEST_SECONDS,
        lambda model: told(f"{project}: {model.get('StatusMessage') or 'training'}"),
    )
    if found["Status"] == "TRAINING_FAILED":
        raise UnfinishedError(f"version {version}: {found.get('StatusMessage', 'no message')}")
    held = found["EvaluationResult"]
    try:
        body = target.s3.get_object(Bucket=held["Bucket"], Key=held["Key"])["Body"].read()
        return figures(json.loads(body), project, version, f"s3://{held['Bucket']}/{held['Key']}")
    except (ClientError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnfinishedError(f"version {version} is trained; its evaluation cannot be read: {error}") from error


def _known(lookout: Any, project: str, description: str) -> str | None:
    """The newest version of that description that is trained or being trained."""
    for page in lookout.get_paginator("list_models").paginate(ProjectName=project):
        for model in page["Models"]:
            if model.get("Description") == description and model["Status"] not in ("TRAINING_FAILED", "DELETING"):
                return str(model["ModelVersion"])
    return None
