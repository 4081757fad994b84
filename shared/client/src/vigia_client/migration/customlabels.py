"""Moving in from Custom Labels."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from vigia_client.datasets import images
from vigia_client.datasets.delivery import Target
from vigia_client.datasets.labels import LONGEST_READ, MOST_IMAGES, LabelDatasets, LabelledLine, read_labels
from vigia_client.datasets.lines import UNLABELLED
from vigia_client.datasets.survey import Survey
from vigia_client.lookout import Json, UnfinishedError, wait
from vigia_client.migration.evaluation import CUSTOM_LABELS, Figures
from vigia_client.migration.service import Rules, read_evaluation

_LONGEST_SECONDS: Final = 24 * 3600.0


def _count(found: Survey) -> dict[str, int]:
    held = [item.line for item in found.items if isinstance(item.line, LabelledLine)]
    unlabelled = found.count(UNLABELLED)
    return {
        "labelled": len(found.items) - unlabelled,
        "unlabelled": unlabelled,
        "labels": len({label for line in held for label in line.labels}),
        "boxes": sum(line.boxes for line in held),
    }


RULES: Final = Rules(
    classes={},
    kind_in_folder=True,
    name=re.compile(r"[A-Za-z0-9_.-]{1,255}"),
    name_said="a project's name has letters, digits, -, _ and ., 255 at most",
    evaluations=CUSTOM_LABELS,
    of_labels="LABELS (F1, THRESHOLD)",
    read_line=read_labels,
    longest_line=LONGEST_READ,
    most_images=MOST_IMAGES,
    accepted=images.CUSTOM_LABELS,
    one_size=False,
    counted=("LABELLED", "UNLABELLED", "LABELS", "BOXES"),
    count=_count,
)


class CustomLabels:
    """Through a client of Rekognition."""

    rules = RULES

    def __init__(self, client: Any) -> None:
        self._client = client

    def datasets(self, told: Callable[[str], None]) -> LabelDatasets:
        return LabelDatasets(self._client, told)

    def create_project(self, name: str) -> None:
        try:
            self._client.create_project(ProjectName=name)
        except self._client.exceptions.ResourceInUseException:
            if not self._client.describe_projects(ProjectNames=[name])["ProjectDescriptions"]:
                raise  # on its way out

    def train(self, target: Target, project: str, digest: str, told: Callable[[str], None]) -> Figures:
        """The version's name says of what it was made: a second run waits for the first one's version."""
        arn = LabelDatasets(self._client).project_arn(project)
        name = f"migration-{digest}"
        known = self._versions(arn, name)
        going = [one for one in known if one["Status"] not in ("TRAINING_FAILED", "DELETING")]
        if not going:
            name = f"{name}-{len(known) + 1}" if known else name
            place = {"S3Bucket": target.bucket, "S3KeyPrefix": f"{target.prefix}{project}/evaluation"}
            self._client.create_project_version(ProjectArn=arn, VersionName=name, OutputConfig=place)
        else:
            name = version_name(going[0])

        def look() -> Json:
            found: Json = self._client.describe_project_versions(ProjectArn=arn, VersionNames=[name])
            if not found["ProjectVersionDescriptions"]:
                raise UnfinishedError(f"version {name} is gone")
            described: Json = found["ProjectVersionDescriptions"][0]
            return described

        found = wait(
            look,
            lambda status: status == "TRAINING_IN_PROGRESS",
            _LONGEST_SECONDS,
            lambda version: told(f"{project}: {version.get('StatusMessage') or 'training'}"),
        )
        if found["Status"] == "TRAINING_FAILED":
            raise UnfinishedError(f"version {name}: {found.get('StatusMessage', 'no message')}")
        held = found["EvaluationResult"]["Summary"]["S3Object"]
        file = f"s3://{held['Bucket']}/{held['Name']}"

        def read(document: Any) -> Figures:
            return CUSTOM_LABELS.of(document, project, name, file)

        return read_evaluation(target, held["Bucket"], held["Name"], read, name)

    def _versions(self, arn: str, name: str) -> list[Json]:
        """The versions of that content, newest first."""
        pages = self._client.get_paginator("describe_project_versions").paginate(ProjectArn=arn)
        return [
            version
            for page in pages
            for version in page["ProjectVersionDescriptions"]
            if re.fullmatch(rf"{re.escape(name)}(-[0-9]+)?", version_name(version))
        ]


def version_name(description: Json) -> str:
    """The name in a version's ARN, ``…:project/<project>/version/<name>/<time>``."""
    return str(description["ProjectVersionArn"]).split("/")[3]
