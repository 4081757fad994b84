"""The whole way of a model version through the protocol, with training's part played on the real topic."""

from __future__ import annotations

import asyncio
import json
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from botocore.exceptions import ClientError

from vigia_contracts.base import ObjectRef
from vigia_contracts.events import Event, decode
from vigia_contracts.topics import TRAINING_EVENTS, TRAINING_JOBS
from vigia_contracts.training import (
    TRAINING_COMPLETED,
    TRAINING_FAILED,
    TRAINING_PROGRESSED,
    TRAINING_STARTED,
    ClassMetrics,
    ModelMetrics,
    TrainingCompleted,
    TrainingFailed,
    TrainingProgress,
    TrainingRequest,
    TrainingStarted,
)
from vigia_runtime.kafka.producer import Producer
from vigia_runtime.kafka.topics import topic_name

from .conftest import ACCOUNT, BUCKET, REGION, Registry, until
from .manifests import manifest

OUTPUT = {"S3Location": {"Bucket": BUCKET, "Prefix": "results"}}


def requests_for(registry: Registry, arn: str) -> list[TrainingRequest]:
    """Every training request for the version that is on the topic."""

    async def read() -> list[TrainingRequest]:
        consumer = AIOKafkaConsumer(
            topic_name(registry.settings.kafka, TRAINING_JOBS),
            bootstrap_servers=registry.settings.kafka.bootstrap,
            auto_offset_reset="earliest",
        )
        await consumer.start()
        try:
            found: list[TrainingRequest] = []
            deadline = asyncio.get_running_loop().time() + 20
            while not found and asyncio.get_running_loop().time() < deadline:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    for record in records:
                        event = decode(
                            TRAINING_JOBS,
                            key=record.key,
                            value=record.value,
                            headers=record.headers,
                            timestamp_ms=record.timestamp,
                        )
                        assert isinstance(event.data, TrainingRequest)
                        assert event.key == event.data.model_arn
                        if event.data.model_arn == arn:
                            found.append(event.data)
            return found
        finally:
            await consumer.stop()

    return asyncio.run(read())


def report(registry: Registry, *events: tuple[str, Any]) -> None:
    """Publish training events, in order."""

    async def send() -> None:
        async with Producer(registry.settings.kafka, "test") as producer:
            for kind, data in events:
                event = Event(
                    type=kind,
                    source="vigia/training",
                    id=str(uuid.uuid4()),
                    time=datetime.now(UTC),
                    data=data,
                    key=data.model_arn,
                )
                await producer.send(TRAINING_EVENTS, event)

    asyncio.run(send())


def completed(arn: str, attempt: int = 1, f1: float = 0.9) -> tuple[str, TrainingCompleted]:
    ref = ObjectRef(bucket="vigia-artifacts", key=f"{arn}/manifest.json", sha256="0" * 64, size=2)
    return TRAINING_COMPLETED, TrainingCompleted(
        model_arn=arn,
        attempt=attempt,
        artifact=ref,
        manifest={"format": "vigia-model/1"},
        metrics=ModelMetrics(
            precision=0.95,
            recall=0.85,
            f1=f1,
            roc_auc=0.99,
            average_precision=0.98,
            classes=[ClassMetrics(name="cracked", precision=0.8, recall=0.9, f1=0.85, iou=0.7)],
            training_images=43,
            test_images=20,
        ),
        evaluation_manifest=ObjectRef(bucket=BUCKET, key="results/EvaluationManifest.json"),
        evaluation_result=ObjectRef(bucket=BUCKET, key="results/EvaluationResult.json"),
        seconds=12.5,
        completed_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    )


def trainable(registry: Registry, lookout: Any, project: str) -> None:
    """Give the project a dataset that suffices."""
    source = {"GroundTruthManifest": {"S3Object": registry.put(manifest(31, 32, "cracked"))}}
    answer = lookout.create_dataset(ProjectName=project, DatasetType="train", DatasetSource=source)
    assert answer["DatasetMetadata"]["Status"] == "CREATE_IN_PROGRESS"
    settled(lookout, project)


def settled(lookout: Any, project: str, kind: str = "train") -> dict[str, Any]:
    """The dataset once nothing is in progress."""

    def look() -> dict[str, Any] | None:
        found = lookout.describe_dataset(ProjectName=project, DatasetType=kind)["DatasetDescription"]
        return None if "IN_PROGRESS" in found["Status"] else found

    return until(look)


def describe(lookout: Any, project: str, version: str = "1") -> dict[str, Any]:
    return lookout.describe_model(ProjectName=project, ModelVersion=version)["ModelDescription"]


def becomes(lookout: Any, project: str, status: str, version: str = "1") -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        found = describe(lookout, project, version)
        return found if found["Status"] == status else None

    return until(look)


def gone(call: Any) -> None:
    """Until the thing is not found any more."""

    def look() -> bool:
        try:
            call()
        except ClientError as error:
            return error.response["Error"]["Code"] == "ResourceNotFoundException"
        return False

    until(look)


def test_a_version_is_trained_hosted_stopped_and_deleted(registry: Registry, lookout: Any, project: str) -> None:
    trainable(registry, lookout, project)
    dataset = lookout.describe_dataset(ProjectName=project, DatasetType="train")["DatasetDescription"]
    assert dataset["Status"] == "CREATE_COMPLETE"
    assert dataset["StatusMessage"]
    assert dataset["ImageStats"] == {"Total": 63, "Labeled": 63, "Normal": 31, "Anomaly": 32}

    answer = lookout.create_model(ProjectName=project, OutputConfig=OUTPUT, Description="first")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    metadata = answer["ModelMetadata"]
    arn = metadata["ModelArn"]
    assert arn == f"arn:aws:lookoutvision:{REGION}:{ACCOUNT}:model/{project}/1"
    assert (metadata["ModelVersion"], metadata["Status"]) == ("1", "TRAINING")
    assert describe(lookout, project)["StatusMessage"]

    # The request is on the topic, and the snapshot that it names holds exactly the labelled lines.
    [request] = requests_for(registry, arn)
    assert (request.project, request.model_version, request.test_manifest) == (project, "1", None)
    assert (request.output.bucket, request.output.prefix) == (BUCKET, "results")
    assert request.artifact_prefix.prefix == f"{ACCOUNT}/{REGION}/{project}/1"
    snapshot = request.training_manifest
    assert registry.opened(snapshot.bucket, snapshot.key) == manifest(31, 32, "cracked")
    assert snapshot.sha256 in snapshot.key

    now = datetime.now(UTC)
    progress = TrainingProgress(model_arn=arn, attempt=1, stage="training", fraction=0.5, at=now)
    report(
        registry,
        (TRAINING_STARTED, TrainingStarted(model_arn=arn, attempt=1, worker="w", started_at=now)),
        (TRAINING_PROGRESSED, progress),
        completed(arn),
        # Twice, and once more with another outcome: the first one counts.
        completed(arn, f1=0.1),
        (TRAINING_FAILED, TrainingFailed(model_arn=arn, attempt=1, code="failed", message="late", failed_at=now)),
    )
    trained = becomes(lookout, project, "TRAINED")
    assert trained["StatusMessage"] == "Training completed successfully."
    assert trained["Performance"] == {"F1Score": 0.9, "Recall": 0.85, "Precision": 0.95}
    assert trained["EvaluationManifest"] == {"Bucket": BUCKET, "Key": "results/EvaluationManifest.json"}
    assert trained["EvaluationResult"] == {"Bucket": BUCKET, "Key": "results/EvaluationResult.json"}
    assert trained["EvaluationEndTimestamp"] == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert trained["OutputConfig"] == OUTPUT
    assert trained["Description"] == "first"
    assert describe(lookout, project, "latest")["ModelVersion"] == "1"

    started = lookout.start_model(ProjectName=project, ModelVersion="1", MinInferenceUnits=1, MaxInferenceUnits=2)
    assert started["Status"] == "STARTING_HOSTING"
    starting = describe(lookout, project)
    assert starting["Status"] == "STARTING_HOSTING"
    assert (starting["MinInferenceUnits"], starting["MaxInferenceUnits"]) == (1, 2)
    observe(registry, arn, "serving")
    assert describe(lookout, project)["Status"] == "HOSTED"
    stopped = lookout.stop_model(ProjectName=project, ModelVersion="1")
    assert stopped["Status"] == describe(lookout, project)["Status"] == "STOPPING_HOSTING"
    observe(registry, arn, "absent")
    assert describe(lookout, project)["Status"] == "TRAINED"

    key = f"{ACCOUNT}/{REGION}/{project}/1/abc/model.onnx"
    registry.s3().put_object(Bucket=registry.settings.buckets.artifacts, Key=key, Body=b"x")
    deleted = lookout.delete_model(ProjectName=project, ModelVersion="1")
    assert deleted["ModelArn"] == arn
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 202
    gone(lambda: describe(lookout, project))
    assert lookout.list_models(ProjectName=project)["Models"] == []
    listed = registry.s3().list_objects_v2(
        Bucket=registry.settings.buckets.artifacts, Prefix=f"{ACCOUNT}/{REGION}/{project}/"
    )
    assert listed["KeyCount"] == 0

    # A number is never used twice.
    assert lookout.create_model(ProjectName=project, OutputConfig=OUTPUT)["ModelMetadata"]["ModelVersion"] == "2"


def observe(registry: Registry, arn: str, observed: str, reason: str | None = None) -> None:
    """Play the hosting process: say what is seen of a version."""
    registry.sql(
        "update registry.hostings set observed = %s, reason = %s where model_version_id = "
        "(select id from registry.model_versions where arn = %s)",
        observed,
        reason,
        arn,
    )


def test_a_failed_training_says_why(registry: Registry, lookout: Any, project: str) -> None:
    trainable(registry, lookout, project)
    arn = lookout.create_model(ProjectName=project, OutputConfig=OUTPUT)["ModelMetadata"]["ModelArn"]
    failure = TrainingFailed(
        model_arn=arn, attempt=1, code="bad_data", message="mask 3 is no PNG", failed_at=datetime.now(UTC)
    )
    report(registry, (TRAINING_FAILED, failure))
    assert becomes(lookout, project, "TRAINING_FAILED")["StatusMessage"] == "mask 3 is no PNG"
    [listed] = lookout.list_models(ProjectName=project)["Models"]
    assert (listed["Status"], listed["StatusMessage"]) == ("TRAINING_FAILED", "mask 3 is no PNG")
    lookout.delete_model(ProjectName=project, ModelVersion="1")
    gone(lambda: describe(lookout, project))


def test_a_failed_start_says_why_and_can_be_tried_again(registry: Registry, lookout: Any, project: str) -> None:
    trainable(registry, lookout, project)
    arn = lookout.create_model(ProjectName=project, OutputConfig=OUTPUT)["ModelMetadata"]["ModelArn"]
    report(registry, completed(arn))
    becomes(lookout, project, "TRAINED")
    lookout.start_model(ProjectName=project, ModelVersion="1", MinInferenceUnits=1)
    observe(registry, arn, "failed", "the golden sample differs")
    failed = describe(lookout, project)
    assert (failed["Status"], failed["StatusMessage"]) == ("HOSTING_FAILED", "the golden sample differs")
    again = lookout.start_model(ProjectName=project, ModelVersion="1", MinInferenceUnits=1)
    assert again["Status"] == describe(lookout, project)["Status"] == "STARTING_HOSTING"


def test_start_and_stop_are_taken_in_the_states_that_the_guide_has_for_them(
    registry: Registry, lookout: Any, project: str
) -> None:
    trainable(registry, lookout, project)
    arns = []
    for version in ("1", "2"):
        arns.append(lookout.create_model(ProjectName=project, OutputConfig=OUTPUT)["ModelMetadata"]["ModelArn"])
        report(registry, completed(arns[-1]))
        becomes(lookout, project, "TRAINED", version)

    def start(version: str = "1", **units: int) -> str:
        chosen = {"MinInferenceUnits": 1, **units}
        status: str = lookout.start_model(ProjectName=project, ModelVersion=version, **chosen)["Status"]
        return status

    def stop(version: str = "1") -> str:
        status: str = lookout.stop_model(ProjectName=project, ModelVersion=version)["Status"]
        return status

    def refuses(call: Any, status: str) -> bool:
        with pytest.raises(lookout.exceptions.ConflictException) as caught:
            call()
        response = caught.value.response
        return status in response["Error"]["Message"] and response["ResourceId"] == f"{project}/1"

    assert refuses(stop, "TRAINED")
    # ``latest`` is the newest version, whatever its state is.
    assert start("latest") == "STARTING_HOSTING"
    assert [describe(lookout, project, version)["Status"] for version in "12"] == ["TRAINED", "STARTING_HOSTING"]
    observe(registry, arns[1], "serving")
    assert stop("latest") == describe(lookout, project, "2")["Status"] == "STOPPING_HOSTING"
    observe(registry, arns[1], "draining")

    # On its way in or out it is left alone until it has arrived; then it can go the other way at once.
    for _ in range(2):
        assert start(MinInferenceUnits=2, MaxInferenceUnits=3) == "STARTING_HOSTING"
        for observed in ("absent", "loading"):
            observe(registry, arns[0], observed)
            assert refuses(start, "STARTING_HOSTING")
            assert refuses(stop, "STARTING_HOSTING")
        observe(registry, arns[0], "serving")
        assert refuses(start, "HOSTED")
        assert stop() == "STOPPING_HOSTING"
        for observed in ("serving", "draining"):
            observe(registry, arns[0], observed)
            assert refuses(start, "STOPPING_HOSTING")
            assert refuses(stop, "STOPPING_HOSTING")
        observe(registry, arns[0], "absent")
        found = describe(lookout, project)
        assert (found["Status"], found["StatusMessage"]) == ("TRAINED", "Training completed successfully.")
        assert not {"MinInferenceUnits", "MaxInferenceUnits"} & found.keys()

    # What failed to start can be started again, or given up.
    start()
    observe(registry, arns[0], "failed", "no memory")
    assert start() == "STARTING_HOSTING"
    observe(registry, arns[0], "failed", "no memory")
    assert stop() == "STOPPING_HOSTING"
    assert describe(lookout, project)["Status"] == "TRAINED"


def test_a_running_model_says_how_many_units_are_in_service(registry: Registry, lookout: Any, project: str) -> None:
    trainable(registry, lookout, project)
    arn = lookout.create_model(ProjectName=project, OutputConfig=OUTPUT)["ModelMetadata"]["ModelArn"]
    report(registry, completed(arn))
    becomes(lookout, project, "TRAINED")
    lookout.start_model(ProjectName=project, ModelVersion="1", MinInferenceUnits=1, MaxInferenceUnits=3)
    for desired, in_service, message in (
        (1, 1, "The model is running."),
        (2, 1, "The model is running, with 1 of 2 inference units in service."),
        (1, 2, "The model is running."),
        # What lies outside of the bounds that StartModel gave does not count.
        (9, 3, "The model is running."),
        (0, 1, "The model is running."),
    ):
        registry.sql(
            "update registry.hostings set observed = 'serving', desired_units = %s, in_service_units = %s "
            "where model_version_id = (select id from registry.model_versions where arn = %s)",
            desired,
            in_service,
            arn,
        )
        found = describe(lookout, project)
        assert (found["Status"], found["StatusMessage"]) == ("HOSTED", message)
        assert (found["MinInferenceUnits"], found["MaxInferenceUnits"]) == (1, 3)


def test_a_project_goes_with_its_snapshots_and_its_name_is_free(registry: Registry, lookout: Any) -> None:
    name = f"p-{uuid.uuid4().hex[:12]}"
    created = lookout.create_project(ProjectName=name)["ProjectMetadata"]
    assert created["ProjectArn"] == f"arn:aws:lookoutvision:{REGION}:{ACCOUNT}:project/{name}"
    assert abs((datetime.now(UTC) - created["CreationTimestamp"]).total_seconds()) < 60
    trainable(registry, lookout, name)
    arn = lookout.create_model(ProjectName=name, OutputConfig=OUTPUT)["ModelMetadata"]["ModelArn"]
    failure = TrainingFailed(model_arn=arn, attempt=1, code="failed", message="no", failed_at=datetime.now(UTC))
    report(registry, (TRAINING_FAILED, failure))
    becomes(lookout, name, "TRAINING_FAILED")

    lookout.delete_model(ProjectName=name, ModelVersion="1")
    assert lookout.delete_dataset(ProjectName=name, DatasetType="train")["ResponseMetadata"]["HTTPStatusCode"] == 202
    gone(lambda: lookout.describe_dataset(ProjectName=name, DatasetType="train"))
    gone(lambda: describe(lookout, name))
    [(project_id,)] = registry.sql("select id from registry.projects where name = %s", name)
    assert lookout.delete_project(ProjectName=name)["ProjectArn"] == created["ProjectArn"]
    gone(lambda: lookout.describe_project(ProjectName=name))
    listed = registry.s3().list_objects_v2(Bucket=registry.settings.buckets.datasets, Prefix=f"{ACCOUNT}/{project_id}/")
    assert listed["KeyCount"] == 0
    lookout.create_project(ProjectName=name)


def test_a_project_shows_its_datasets(lookout: Any, project: str) -> None:
    answer = lookout.create_dataset(ProjectName=project, DatasetType="test")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert answer["DatasetMetadata"]["Status"] == "CREATE_COMPLETE"
    assert answer["DatasetMetadata"]["StatusMessage"]
    description = lookout.describe_project(ProjectName=project)["ProjectDescription"]
    [shown] = description["Datasets"]
    assert (shown["DatasetType"], shown["Status"]) == ("test", "CREATE_COMPLETE")
    assert shown["StatusMessage"]


def test_entries_are_listed_filtered_and_updated(registry: Registry, lookout: Any, project: str) -> None:
    trainable(registry, lookout, project)
    where = {"ProjectName": project, "DatasetType": "train"}

    def entries(**chosen: Any) -> list[dict[str, Any]]:
        pages = lookout.get_paginator("list_dataset_entries").paginate(**where, **chosen)
        return [json.loads(text) for page in pages for text in page["DatasetEntries"]]

    assert len(entries()) == len(entries(PaginationConfig={"PageSize": 7})) == 63
    assert len(entries(AnomalyClass="normal")) == 31
    assert len(entries(Labeled=False)) == 0
    assert len(entries(SourceRefContains="anomaly-3")) == 3
    assert entries(AfterCreationDate=datetime.now(UTC)) == []
    assert len(entries(BeforeCreationDate=datetime.now(UTC))) == 63

    changed = json.loads(manifest(1, 0).decode())
    changed["anomaly-label-metadata"]["class-name"] = "unclear"
    new = manifest(1, 0, prefix="new-").decode().strip()
    answer = lookout.update_dataset_entries(**where, Changes=f"{json.dumps(changed)}\n{new}".encode())
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert answer["Status"] == "UPDATE_IN_PROGRESS"
    done = settled(lookout, project)
    assert done["Status"] == "UPDATE_COMPLETE"
    assert done["ImageStats"] == {"Total": 64, "Labeled": 63, "Normal": 31, "Anomaly": 32}
    assert entries()[0] == changed

    lookout.update_dataset_entries(**where, Changes=f"{manifest(5, 0, prefix='x').decode()}not json".encode())
    failed = settled(lookout, project)
    assert failed["Status"] == "UPDATE_FAILED_ROLLBACK_COMPLETE"
    assert "Line 6" in failed["StatusMessage"]
    assert failed["ImageStats"]["Total"] == 64


def test_lost_connections_are_made_again(registry: Registry, lookout: Any, project: str) -> None:
    """As after a restart of Postgres: requests, jobs, announcements and events go on."""
    registry.sql(
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where datname = current_database() and pid <> pg_backend_pid()"
    )
    trainable(registry, lookout, project)
    arn = lookout.create_model(ProjectName=project, OutputConfig=OUTPUT)["ModelMetadata"]["ModelArn"]
    assert len(requests_for(registry, arn)) == 1
    report(registry, completed(arn))
    becomes(lookout, project, "TRAINED")
