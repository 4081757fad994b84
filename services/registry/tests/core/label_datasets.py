"""Datasets of Custom Labels: how tests make them, look at them, and do their jobs."""

from __future__ import annotations

import json
import uuid
from typing import Any

from .conftest import Registry, until

#: What samples read without asking whether it is there.
MEMBERS = {
    "CreationTimestamp",
    "LastUpdatedTimestamp",
    "Status",
    "StatusMessage",
    "StatusMessageCode",
    "DatasetStats",
}
IN_PROGRESS = ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS")


def new_project(client: Any) -> str:
    return str(client.create_project(ProjectName=f"p-{uuid.uuid4().hex[:12]}")["ProjectArn"])


def described(client: Any, arn: str) -> dict[str, Any]:
    """The dataset; everything that samples read of it is there at every moment."""
    found: dict[str, Any] = client.describe_dataset(DatasetArn=arn)["DatasetDescription"]
    assert set(found) == MEMBERS
    assert set(found["DatasetStats"]) == {"LabeledEntries", "TotalEntries", "TotalLabels", "ErrorEntries"}
    assert found["StatusMessage"]
    return found


def settled(client: Any, arn: str) -> dict[str, Any]:
    return until(lambda: found if (found := described(client, arn))["Status"] not in IN_PROGRESS else None)


def manifest(registry: Registry, *lines: str) -> dict[str, Any]:
    """A source of a dataset."""
    place = registry.put("\n".join(lines).encode() + b"\n")
    return {"GroundTruthManifest": {"S3Object": {"Bucket": place["Bucket"], "Name": place["Key"]}}}


def create(client: Any, project: str, kind: str = "TRAIN", source: dict[str, Any] | None = None) -> str:
    given = {} if source is None else {"DatasetSource": source}
    return str(client.create_dataset(ProjectArn=project, DatasetType=kind, **given)["DatasetArn"])


def imported(registry: Registry, client: Any, *lines: str, kind: str = "TRAIN", project: str | None = None) -> str:
    """A new dataset with these lines."""
    arn = create(client, project or new_project(client), kind, manifest(registry, *lines))
    found = settled(client, arn)
    assert found["Status"] == "CREATE_COMPLETE", found
    return arn


def entries(client: Any, arn: str, **chosen: Any) -> list[dict[str, Any]]:
    pages = client.get_paginator("list_dataset_entries").paginate(DatasetArn=arn, **chosen)
    return [json.loads(text) for page in pages for text in page["DatasetEntries"]]


def names(found: list[dict[str, Any]]) -> list[str]:
    return [entry["source-ref"].rpartition("/")[2] for entry in found]


def row_of(registry: Registry, arn: str) -> uuid.UUID:
    """The id of the dataset that the ARN names."""
    project, _, kind = arn.partition(":project/")[2].split("/")[:3]
    query = "select d.id from registry.datasets d join registry.projects p on p.id = d.project_id where p.name = %s"
    [(found,)] = registry.sql(f"{query} and d.kind = %s", project, kind)
    return uuid.UUID(str(found))
