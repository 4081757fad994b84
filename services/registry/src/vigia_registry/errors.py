"""What errors of the core say about the thing they concern, so that each protocol can name it its own way."""

from __future__ import annotations

from enum import StrEnum


class Resource(StrEnum):
    """Kinds of things that an error can be about (``details["resource_type"]``)."""

    PROJECT = "PROJECT"
    DATASET = "DATASET"
    MODEL = "MODEL"
    PACKAGING_JOB = "MODEL_PACKAGE_JOB"


def about(resource: Resource, resource_id: str) -> dict[str, str]:
    """Details of an error about one resource."""
    return {"resource_type": resource.value, "resource_id": resource_id}
