"""Packaging: what is asked, and what was written for a device."""

from __future__ import annotations

from typing import Any

from .conftest import BUCKET, Registry, until

NVIDIA = '{"gpu-code": "sm_75", "trt-ver": "7.1.3", "cuda-ver": "10.2"}'
PLATFORM = {"Os": "LINUX", "Arch": "X86_64", "Accelerator": "NVIDIA"}


def greengrass(component: str, **more: Any) -> dict[str, Any]:
    """A configuration for a processor, unless ``more`` says otherwise; members that are None are left out."""
    given = {
        "TargetPlatform": {"Os": "LINUX", "Arch": "X86_64"},
        "S3OutputLocation": {"Bucket": BUCKET, "Prefix": "edge"},
        "ComponentName": component,
        **more,
    }
    return {"Greengrass": {name: value for name, value in given.items() if value is not None}}


def done(lookout: Any, project: str, job: str) -> dict[str, Any]:
    """The job's description once it has ended."""

    def look() -> dict[str, Any] | None:
        answer = lookout.describe_model_packaging_job(ProjectName=project, JobName=job)
        found: dict[str, Any] = answer["ModelPackagingDescription"]
        assert found["StatusMessage"]
        return found if found["Status"] in ("SUCCEEDED", "FAILED") else None

    return until(look)


def files(registry: Registry, prefix: str) -> dict[str, bytes]:
    """Every object below a prefix of the customer's bucket, by what follows the prefix."""
    found = registry.s3().list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
    return {
        entry["Key"].removeprefix(prefix): registry.s3().get_object(Bucket=BUCKET, Key=entry["Key"])["Body"].read()
        for entry in found
    }


def written(registry: Registry, component: str, version: str, prefix: str = "edge") -> dict[str, bytes]:
    """The files of a component, by their names."""
    found = files(registry, f"{prefix}/{component}/{version}/")
    assert len({key.partition("/")[0] for key in found}) <= 1
    return {key.partition("/")[2]: content for key, content in found.items()}
