"""Trials: the API as a key sees it, a version to try out, and what lies in stores and datasets."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

import httpx

from vigia_contracts.base import ObjectRef
from vigia_contracts.training import TrainingCompleted
from vigia_vision.artifact import MANIFEST_FILE

from .artifacts import colours
from .conftest import ACCOUNT, BUCKET, KEY, REGION, SECRET, Registry, until
from .test_lifecycle import OUTPUT, becomes, completed, gone, report, settled, trainable

OTHER_BUCKET = "registry-tests-elsewhere"


class Api:
    """The REST API as one key sees it."""

    def __init__(self, url: str, key: str = KEY, secret: str = SECRET) -> None:
        self.client = httpx.Client(base_url=f"{url}/api/v1", auth=(key, secret), trust_env=False, timeout=30)

    def ok(self, method: str, path: str, **options: Any) -> Any:
        answer = self.client.request(method, path, **options)
        assert answer.is_success, answer.text
        return answer.json()

    def refused(self, status: int, method: str, path: str, **options: Any) -> dict[str, Any]:
        """The problem that the API answers with."""
        answer = self.client.request(method, path, **options)
        assert answer.status_code == status, answer.text
        problem: dict[str, Any] = answer.json()
        return problem

    def create(self, project: str, source: dict[str, Any], **more: Any) -> dict[str, Any]:
        body = {"project": project, "name": f"t-{uuid.uuid4().hex[:8]}", "source": source, **more}
        created: dict[str, Any] = self.ok("POST", "/trials", json=body)
        return created

    def ended(self, trial: dict[str, Any]) -> dict[str, Any]:
        """The trial once it is complete or failed."""

        def look() -> dict[str, Any] | None:
            found: dict[str, Any] = self.ok("GET", f"/trials/{trial['trial_id']}")
            return found if found["state"] in ("complete", "failed") else None

        return until(look, 60)

    def images(self, trial: dict[str, Any], **filters: Any) -> list[dict[str, Any]]:
        """All images that the filters let through, page after page."""
        found: list[dict[str, Any]] = []
        cursor = None
        while True:
            params = {key: value for key, value in {**filters, "cursor": cursor}.items() if value is not None}
            page = self.ok("GET", f"/trials/{trial['trial_id']}/images", params=params)
            found += page["items"]
            cursor = page["next"]
            if cursor is None:
                return found

    def bytes_of(self, trial: dict[str, Any], number: int, kind: str) -> httpx.Response:
        return self.client.get(f"/trials/{trial['trial_id']}/images/{number}/{kind}")


def trained(registry: Registry, lookout: Any, project: str) -> str:
    """A trained version of the project with a real artifact; its ARN. The project has no dataset afterwards."""
    trainable(registry, lookout, project)
    arn = lookout.create_model(ProjectName=project, OutputConfig=OUTPUT)["ModelMetadata"]["ModelArn"]
    kind, event = completed(arn)
    assert isinstance(event, TrainingCompleted)
    artifact = colours()
    prefix = f"{ACCOUNT}/{REGION}/{project}/1/{artifact.folder}/"
    for name, content in artifact.all_files().items():
        registry.s3().put_object(Bucket=registry.settings.buckets.artifacts, Key=prefix + name, Body=content)
    ref = ObjectRef(
        bucket=registry.settings.buckets.artifacts,
        key=prefix + MANIFEST_FILE,
        sha256=hashlib.sha256(artifact.manifest_bytes).hexdigest(),
    )
    manifest = artifact.manifest.model_dump(mode="json")
    report(registry, (kind, event.model_copy(update={"artifact": ref, "manifest": manifest})))
    becomes(lookout, project, "TRAINED")
    lookout.delete_dataset(ProjectName=project, DatasetType="train")
    gone(lambda: lookout.describe_dataset(ProjectName=project, DatasetType="train"))
    return arn


def store(registry: Registry, files: dict[str, bytes], bucket: str = BUCKET) -> str:
    """Put files below a prefix of their own; the prefix."""
    prefix = f"trials/{uuid.uuid4().hex}/"
    for name, content in files.items():
        registry.s3().put_object(Bucket=bucket, Key=prefix + name, Body=content)
    return prefix


def stats(lookout: Any, project: str) -> dict[str, int]:
    found: dict[str, int] = settled(lookout, project)["ImageStats"]
    return found
