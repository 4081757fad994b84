"""Datasets: how tests make them, look at them, and do their jobs."""

from __future__ import annotations

from typing import Any

from .conftest import Registry
from .test_lifecycle import settled


def source(place: dict[str, str]) -> dict[str, Any]:
    return {"GroundTruthManifest": {"S3Object": place}}


def create(registry: Registry, lookout: Any, project: str, data: bytes, kind: str = "train") -> dict[str, Any]:
    """Import a manifest; the dataset once it is settled."""
    lookout.create_dataset(ProjectName=project, DatasetType=kind, DatasetSource=source(registry.put(data)))
    return settled(lookout, project, kind)


def update(lookout: Any, project: str, changes: bytes, kind: str = "train") -> dict[str, Any]:
    """Change entries; the dataset once it is settled."""
    lookout.update_dataset_entries(ProjectName=project, DatasetType=kind, Changes=changes)
    return settled(lookout, project, kind)


def entries(lookout: Any, project: str, kind: str = "train", **chosen: Any) -> list[str]:
    pages = lookout.get_paginator("list_dataset_entries").paginate(ProjectName=project, DatasetType=kind, **chosen)
    return [text for page in pages for text in page["DatasetEntries"]]


def status(lookout: Any, project: str) -> str:
    found = lookout.describe_dataset(ProjectName=project, DatasetType="train")["DatasetDescription"]
    assert found["StatusMessage"]
    return str(found["Status"])
