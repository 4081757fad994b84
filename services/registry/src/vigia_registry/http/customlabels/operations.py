"""The protocol's operations by name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from vigia_registry.http.customlabels import dataset_operations as datasets
from vigia_registry.http.customlabels import policy_operations as policies
from vigia_registry.http.customlabels import project_operations as projects
from vigia_registry.http.customlabels import tag_operations as tags
from vigia_registry.http.customlabels import version_operations as versions
from vigia_registry.http.customlabels.call import Call, Shape
from vigia_registry.http.customlabels.errors import UnknownOperationError

TARGET: Final = "RekognitionService."

Handler = Callable[[Call], Awaitable[Shape]]

#: None: detection answers it, and the gateway never sends it here.
OPERATIONS: Final[Mapping[str, Handler | None]] = {
    "CreateProject": projects.create_project,
    "DescribeProjects": projects.describe_projects,
    "DeleteProject": projects.delete_project,
    "CreateDataset": datasets.create_dataset,
    "DescribeDataset": datasets.describe_dataset,
    "ListDatasetEntries": datasets.list_dataset_entries,
    "ListDatasetLabels": datasets.list_dataset_labels,
    "UpdateDatasetEntries": datasets.update_dataset_entries,
    "DistributeDatasetEntries": datasets.distribute_dataset_entries,
    "DeleteDataset": datasets.delete_dataset,
    "CreateProjectVersion": versions.create_project_version,
    "DescribeProjectVersions": versions.describe_project_versions,
    "CopyProjectVersion": versions.copy_project_version,
    "DeleteProjectVersion": versions.delete_project_version,
    "StartProjectVersion": versions.start_project_version,
    "StopProjectVersion": versions.stop_project_version,
    "PutProjectPolicy": policies.put_project_policy,
    "ListProjectPolicies": policies.list_project_policies,
    "DeleteProjectPolicy": policies.delete_project_policy,
    "TagResource": tags.tag_resource,
    "UntagResource": tags.untag_resource,
    "ListTagsForResource": tags.list_tags_for_resource,
    "DetectCustomLabels": None,
}


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation that is served; all answer with the same ``status``."""

    name: str
    handler: Handler
    status: int = 200

    @property
    def path(self) -> str:
        """What metrics count by: all come to the same path."""
        return f"/{self.name}"

    def served(self) -> Handler:
        """What answers it."""
        return self.handler


def find(target: str) -> Operation:
    """The operation that the header ``X-Amz-Target`` names; UnknownOperationError."""
    name = target.removeprefix(TARGET)
    handler = OPERATIONS.get(name) if target.startswith(TARGET) else None
    if handler is None:
        raise UnknownOperationError(target)
    return Operation(name, handler)
