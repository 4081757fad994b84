"""Trained versions for the tests, without a training: their artifacts are real, their weights are not."""

from __future__ import annotations

import json
import time
import uuid
from datetime import UTC, datetime
from typing import Any

from vigia_contracts.base import ObjectRef
from vigia_contracts.training import ModelMetrics
from vigia_registry.models.outputs import ResultFile
from vigia_vision import Artifact, Manifest
from vigia_vision.manifest import Decision, Golden, InputContract, Label, TensorSpec, Threshold

from .conftest import ACCOUNT, BUCKET, REGION, Registry

METRICS = ModelMetrics(
    precision=0.95, recall=0.85, f1=0.9, roc_auc=0.99, average_precision=0.98, training_images=43, test_images=20
)


def artifact(name: str) -> Artifact:
    """A segmentation model's artifact that differs from that of another name."""
    manifest = Manifest(
        kind="anomaly-segmentation",
        labels=(Label(name="cracked", color="#23A436"),),
        input=InputContract(width=256, height=192, image_width=640, image_height=480),
        outputs=(TensorSpec(name="score", shape=(-1, 1)), TensorSpec(name="maps", shape=(-1, 1, 48, 64))),
        threshold=Threshold(value=0.375),
        decision=Decision(pixel_thresholds=(0.5,)),
        golden=(Golden(file="golden/a.jpg", outputs={"score": "golden/a.npy"}, is_anomalous=False),),
    )
    files = {"model.onnx": name.encode() * 1000, "golden/a.jpg": b"jpeg", "golden/a.npy": b"npy"}
    return Artifact.build(manifest, files)


def trained(registry: Registry, project: str, version: int = 1) -> str:
    """A trained version of the project, its artifact in the store; its ARN."""
    arn = f"arn:aws:lookoutvision:{REGION}:{ACCOUNT}:model/{project}/{version}"
    made = artifact(arn)
    bucket = registry.settings.buckets.artifacts
    folder = f"{ACCOUNT}/{REGION}/{project}/{version}/{made.folder}"
    for name, content in made.all_files().items():
        registry.s3().put_object(Bucket=bucket, Key=f"{folder}/{name}", Body=content)
    ref = ObjectRef(bucket=bucket, key=f"{folder}/manifest.json", sha256=made.digest, size=len(made.manifest_bytes))
    registry.sql(
        "insert into registry.model_versions (id, arn, project_id, account_id, region, version, state, output, "
        "training_manifest, artifact, manifest) select gen_random_uuid(), %s, id, account_id, region, %s, 'TRAINED', "
        '\'{"bucket": "b", "prefix": ""}\', \'{"bucket": "b", "key": "k"}\', %s, %s '
        "from registry.projects where name = %s and account_id = %s and region = %s",
        arn,
        version,
        ref.model_dump_json(),
        json.dumps(made.manifest.model_dump(mode="json")),
        project,
        ACCOUNT,
        REGION,
    )
    return arn


def labelled(registry: Registry, project_arn: str, name: str, account: str = ACCOUNT, **values: Any) -> str:
    """A trained version of a project of Custom Labels, its artifact and its results in the store; its ARN.

    ``values`` are columns of its row that are to be others.
    """
    [(project_id, project, number)] = registry.sql(
        "update registry.projects set next_version = next_version + 1 where arn = %s "
        "returning id, name, next_version - 1",
        project_arn,
    )
    milliseconds = time.time_ns() // 1_000_000
    arn = f"{project_arn.rpartition('/')[0]}/version/{name}/{milliseconds}"
    made = artifact(arn)
    bucket, folder = registry.settings.buckets.artifacts, f"{account}/{project_id}/{number}/{made.folder}"
    for file, content in made.all_files().items():
        registry.s3().put_object(Bucket=bucket, Key=f"{folder}/{file}", Body=content)
    results = {
        kind: ObjectRef(bucket=BUCKET, key=f"results/{kind.of(project, name)}").model_dump() for kind in ResultFile
    }
    for kind, place in results.items():
        registry.s3().put_object(Bucket=BUCKET, Key=place["key"], Body=f"{kind} of {arn}".encode())
    checks = {
        "summary": results[ResultFile.SUMMARY],
        "training": results[ResultFile.TRAINING_CHECKS],
        "testing": results[ResultFile.TESTING_CHECKS],
    }
    ref = ObjectRef(bucket=bucket, key=f"{folder}/manifest.json", sha256=made.digest, size=len(made.manifest_bytes))
    columns: dict[str, Any] = {
        "id": uuid.uuid4(),
        "arn": arn,
        "project_id": project_id,
        "account_id": account,
        "region": REGION,
        "version": number,
        "name": name,
        "state": "TRAINED",
        "status_message": "Training completed successfully.",
        "output": {"bucket": BUCKET, "prefix": "results"},
        "training_manifest": {"bucket": registry.settings.buckets.datasets, "key": f"{account}/{project_id}/k"},
        "artifact": ref.model_dump(),
        "manifest": made.manifest.model_dump(mode="json"),
        "metrics": METRICS.model_dump(mode="json"),
        "evaluation_result": results[ResultFile.EVALUATION],
        "evaluation_manifest": results[ResultFile.TESTING_SNAPSHOT],
        "training_snapshot": results[ResultFile.TRAINING_SNAPSHOT],
        "checks": checks,
        "evaluation_ended_at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "training_seconds": 61.2,
        **values,
    }
    given = [json.dumps(value) if isinstance(value, dict) else value for value in columns.values()]
    places = ", ".join(["%s"] * len(given))
    registry.sql(f"insert into registry.model_versions ({', '.join(columns)}) values ({places})", *given)
    return arn


def decided_by(registry: Registry, arn: str, value: float) -> None:
    """Let the version decide by another threshold than its artifact's."""
    registry.sql(
        "insert into registry.thresholds (model_version_id, number, threshold_id, value, source, author, reason) "
        "select id, 2, gen_random_uuid(), %s, 'person', 'ana', 'a reason' from registry.model_versions where arn = %s",
        value,
        arn,
    )
