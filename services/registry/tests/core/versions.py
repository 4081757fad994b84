"""Trained versions for the tests, without a training: their artifacts are real, their weights are not."""

from __future__ import annotations

import json

from vigia_contracts.base import ObjectRef
from vigia_vision import Artifact, Manifest
from vigia_vision.manifest import Decision, Golden, InputContract, Label, TensorSpec, Threshold

from .conftest import ACCOUNT, REGION, Registry


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


def decided_by(registry: Registry, arn: str, value: float) -> None:
    """Let the version decide by another threshold than its artifact's."""
    registry.sql(
        "insert into registry.thresholds (model_version_id, number, threshold_id, value, source, author, reason) "
        "select id, 2, gen_random_uuid(), %s, 'person', 'ana', 'a reason' from registry.model_versions where arn = %s",
        value,
        arn,
    )
