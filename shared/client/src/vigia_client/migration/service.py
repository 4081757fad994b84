"""What differs between the two services whose customers move in: what they hold, what a dataset takes, how to train."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from botocore.exceptions import ClientError

from vigia_client.datasets.delivery import Datasets, Target
from vigia_client.datasets.images import Accepted
from vigia_client.datasets.lines import AnyLine
from vigia_client.datasets.survey import Survey
from vigia_client.lookout import UnfinishedError
from vigia_client.migration.evaluation import Evaluations, Figures


@dataclass(frozen=True, slots=True)
class Rules:
    """``classes``: names of folders that give a class. ``kind_in_folder``: whether ``boards-test`` is of ``boards``.

    ``longest_line``: bytes of a line that are read. ``one_size``: whether all images of a project have the same.
    ``counted``: titles of what ``count`` counts. ``of_labels``: what evaluations say of each label, as a title.
    """

    classes: Mapping[str, bool]
    kind_in_folder: bool
    name: re.Pattern[str]
    name_said: str
    evaluations: Evaluations
    of_labels: str
    read_line: Callable[[bytes], AnyLine]
    longest_line: int
    most_images: Mapping[str, int]
    accepted: Accepted
    one_size: bool
    counted: tuple[str, ...]
    count: Callable[[Survey], dict[str, int]]


class Service(Protocol):
    """One of the protocols of an installation, to bring things in through."""

    @property
    def rules(self) -> Rules: ...

    def datasets(self, told: Callable[[str], None]) -> Datasets: ...

    def create_project(self, name: str) -> None:
        """Create a project unless it is there; ClientError."""

    def train(self, target: Target, project: str, digest: str, told: Callable[[str], None]) -> Figures:
        """The figures of a version trained on this content, once for each; UnfinishedError, ClientError."""


def read_evaluation(target: Target, bucket: str, key: str, read: Callable[[Any], Figures], version: str) -> Figures:
    """The figures of a version that was just trained; UnfinishedError."""
    try:
        return read(json.loads(target.s3.get_object(Bucket=bucket, Key=key)["Body"].read()))
    except (ClientError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnfinishedError(f"version {version} is trained; its evaluation cannot be read: {error}") from error
