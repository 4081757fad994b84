"""Which operation a request is for, by method and path."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from vigia_registry.http.lookoutvision import dataset_operations as datasets
from vigia_registry.http.lookoutvision import model_operations as models
from vigia_registry.http.lookoutvision import packaging_operations as packaging
from vigia_registry.http.lookoutvision import project_operations as projects
from vigia_registry.http.lookoutvision import tag_operations as tags
from vigia_registry.http.lookoutvision.call import Call
from vigia_registry.http.lookoutvision.errors import OperationNotServedError, UnknownOperationError
from vigia_registry.http.lookoutvision.shapes import Shape

BASE: Final = "/2020-11-20"

Handler = Callable[[Call], Awaitable[Shape]]


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of the protocol; ``status`` is that of success, ``handler`` None where it is not served."""

    name: str
    method: str
    path: str
    status: int
    handler: Handler | None

    def served(self) -> Handler:
        """What answers it; OperationNotServedError."""
        if self.handler is None:
            raise OperationNotServedError(self.name)
        return self.handler

    def match(self, segments: list[str]) -> dict[str, str] | None:
        """The path's parameters, or None when ``segments`` (still percent-encoded) are of another path."""
        template = self.path.split("/")
        if template[-1].endswith("+}") and len(segments) >= len(template):
            # An ARN has slashes, and not every client encodes them.
            segments = [*segments[: len(template) - 1], "/".join(segments[len(template) - 1 :])]
        if len(template) != len(segments):
            return None
        found: dict[str, str] = {}
        for part, segment in zip(template, segments, strict=True):
            if part.startswith("{"):
                found[part.strip("{+}")] = unquote(segment)
            elif part != segment:
                return None
        return found


_PROJECT = f"{BASE}/projects/{{projectName}}"
_DATASET = f"{_PROJECT}/datasets/{{datasetType}}"
_MODEL = f"{_PROJECT}/models/{{modelVersion}}"
_PACKAGING = f"{_PROJECT}/modelpackagingjobs"
_TAGS = f"{BASE}/tags/{{resourceArn+}}"

OPERATIONS: Final = (
    Operation("CreateProject", "POST", f"{BASE}/projects", 200, projects.create_project),
    Operation("ListProjects", "GET", f"{BASE}/projects", 200, projects.list_projects),
    Operation("DescribeProject", "GET", _PROJECT, 200, projects.describe_project),
    Operation("DeleteProject", "DELETE", _PROJECT, 200, projects.delete_project),
    Operation("CreateDataset", "POST", f"{_PROJECT}/datasets", 202, datasets.create_dataset),
    Operation("DescribeDataset", "GET", _DATASET, 200, datasets.describe_dataset),
    Operation("DeleteDataset", "DELETE", _DATASET, 202, datasets.delete_dataset),
    Operation("ListDatasetEntries", "GET", f"{_DATASET}/entries", 200, datasets.list_dataset_entries),
    Operation("UpdateDatasetEntries", "PATCH", f"{_DATASET}/entries", 202, datasets.update_dataset_entries),
    Operation("CreateModel", "POST", f"{_PROJECT}/models", 202, models.create_model),
    Operation("ListModels", "GET", f"{_PROJECT}/models", 200, models.list_models),
    Operation("DescribeModel", "GET", _MODEL, 200, models.describe_model),
    Operation("DeleteModel", "DELETE", _MODEL, 202, models.delete_model),
    Operation("StartModel", "POST", f"{_MODEL}/start", 202, models.start_model),
    Operation("StopModel", "POST", f"{_MODEL}/stop", 202, models.stop_model),
    # Detection answers this one; the gateway never sends it here.
    Operation("DetectAnomalies", "POST", f"{_MODEL}/detect", 200, None),
    Operation("StartModelPackagingJob", "POST", _PACKAGING, 200, packaging.start_model_packaging_job),
    Operation("ListModelPackagingJobs", "GET", _PACKAGING, 200, packaging.list_model_packaging_jobs),
    Operation(
        "DescribeModelPackagingJob", "GET", f"{_PACKAGING}/{{jobName}}", 200, packaging.describe_model_packaging_job
    ),
    Operation("TagResource", "POST", _TAGS, 200, tags.tag_resource),
    Operation("UntagResource", "DELETE", _TAGS, 200, tags.untag_resource),
    Operation("ListTagsForResource", "GET", _TAGS, 200, tags.list_tags_for_resource),
)


def find(method: str, raw_path: str) -> tuple[Operation, Mapping[str, str]]:
    """The operation and the path's parameters; UnknownOperationError."""
    segments = raw_path.split("/")
    for operation in OPERATIONS:
        parameters = operation.match(segments) if operation.method == method else None
        if parameters is not None:
            return operation, parameters
    raise UnknownOperationError(method, raw_path)
