"""Moving in from Lookout for Vision."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from vigia_client.datasets.delivery import Datasets, Target
from vigia_client.datasets.images import LOOKOUT
from vigia_client.datasets.lines import LONGEST_READ, UNLABELLED, read_line
from vigia_client.datasets.survey import CLASSES, MOST_IMAGES, Survey
from vigia_client.lookout import Json, UnfinishedError, wait
from vigia_client.migration.evaluation import LOOKOUTVISION, Figures
from vigia_client.migration.service import Rules, read_evaluation

_LONGEST_SECONDS: Final = 24 * 3600.0


def _count(found: Survey) -> dict[str, int]:
    kinds = {kind: found.count(kind) for kind in ("normal", "anomaly", UNLABELLED)}
    return kinds | {"masks": sum(item.mask is not None for item in found.items)}


RULES: Final = Rules(
    classes=CLASSES,
    kind_in_folder=False,
    name=re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,254}"),
    name_said="a project's name has letters, digits, - and _, 255 at most",
    evaluations=LOOKOUTVISION,
    of_labels="LABELS (F1, IOU)",
    read_line=read_line,
    longest_line=LONGEST_READ,
    most_images=MOST_IMAGES,
    accepted=LOOKOUT,
    one_size=True,
    counted=("NORMAL", "ANOMALY", "UNLABELLED", "MASKS"),
    count=_count,
)


class LookoutVision:
    """Through a client of the Lookout for Vision protocol."""

    rules = RULES

    def __init__(self, client: Any) -> None:
        self._client = client

    def datasets(self, told: Callable[[str], None]) -> Datasets:
        return Datasets(self._client, told)

    def create_project(self, name: str) -> None:
        try:
            self._client.create_project(ProjectName=name)
        except self._client.exceptions.ConflictException:
            self._client.describe_project(ProjectName=name)  # there already, and not on its way out

    def train(self, target: Target, project: str, digest: str, told: Callable[[str], None]) -> Figures:
        return _train(self._client, target, project, digest, told)


def _train(lookout: Any, target: Target, project: str, digest: str, told: Callable[[str], None]) -> Figures:
    """``digest`` stands for the content and is the version's description: a second run waits for the same version."""
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
    file = f"s3://{held['Bucket']}/{held['Key']}"

    def read(document: Any) -> Figures:
        return LOOKOUTVISION.of(document, project, version, file)

    return read_evaluation(target, held["Bucket"], held["Key"], read, version)


def _known(lookout: Any, project: str, description: str) -> str | None:
    """The newest version of that description that is trained or being trained."""
    for page in lookout.get_paginator("list_models").paginate(ProjectName=project):
        for model in page["Models"]:
            if model.get("Description") == description and model["Status"] not in ("TRAINING_FAILED", "DELETING"):
                return str(model["ModelVersion"])
    return None
