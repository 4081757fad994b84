"""Model versions of Custom Labels: how tests ask for them, look at them, and play training."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import Any

import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from vigia_contracts.base import ObjectRef
from vigia_contracts.training import ManifestChecks, TrainingFailed

from .conftest import BUCKET, KEY, REGION, SECRET, Registry

#: What samples read without asking whether it is there.
MEMBERS = {"ProjectVersionArn", "CreationTimestamp", "Status", "StatusMessage"}
SUMMARY, TRAINING, TESTING = (
    ObjectRef(bucket=BUCKET, key=f"out/{name}.json") for name in ("ManifestSummary", "Training", "Testing")
)
CHECKS = ManifestChecks(summary=SUMMARY, training=TRAINING, testing=TESTING)


def versions(client: Any, project: str, *names: str) -> list[dict[str, Any]]:
    more = {"VersionNames": list(names)} if names else {}
    found: list[dict[str, Any]] = client.describe_project_versions(ProjectArn=project, **more)[
        "ProjectVersionDescriptions"
    ]
    assert all(set(one) >= MEMBERS and one["StatusMessage"] for one in found)
    return found


def described(client: Any, arn: str) -> dict[str, Any]:
    """The version; everything that samples read of it is there at every moment."""
    project = client.describe_projects(ProjectNames=[arn.split("/")[1]])["ProjectDescriptions"][0]["ProjectArn"]
    [found] = versions(client, project, arn.split("/")[3])
    assert found["ProjectVersionArn"] == arn
    return found


def status(client: Any, arn: str) -> str:
    return str(described(client, arn)["Status"])


def id_of(registry: Registry, arn: str) -> uuid.UUID:
    [(found,)] = registry.sql("select id from registry.model_versions where arn = %s", arn)
    return uuid.UUID(str(found))


def failed(arn: str, code: str, message: str) -> TrainingFailed:
    return TrainingFailed(
        model_arn=arn, attempt=1, code=code, message=message, checks=CHECKS, failed_at=datetime.now(UTC)
    )


def place(ref: ObjectRef) -> dict[str, Any]:
    return {"S3Object": {"Bucket": ref.bucket, "Name": ref.key}}


def assets(*places: dict[str, Any]) -> dict[str, Any]:
    return {"Assets": [{"GroundTruthManifest": one} for one in places]}


def raw(registry: Registry, operation: str, body: dict[str, Any]) -> dict[str, Any]:
    """The answer to a request that no client would send."""
    headers = {"X-Amz-Target": f"RekognitionService.{operation}", "Content-Type": "application/x-amz-json-1.1"}
    request = AWSRequest("POST", f"{registry.url}/", data=json.dumps(body).encode(), headers=headers)
    SigV4Auth(Credentials(KEY, SECRET), "rekognition", REGION).add_auth(request)
    answer = httpx.post(f"{registry.url}/", content=request.data, headers=dict(request.headers), trust_env=False)
    found: dict[str, Any] = answer.json()
    return found
