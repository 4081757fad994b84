"""Trainings of Custom Labels as their clients see them: what training is asked, and what it tells."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from vigia_contracts.base import ObjectRef
from vigia_contracts.training import TrainingCompleted, TrainingFailed
from vigia_registry.jobs.queue import JOBS_SCHEMA
from vigia_registry.models import given, snapshots, trainings
from vigia_registry.objects import asked_rights
from vigia_runtime.errors import Transient
from vigia_runtime.objects import ObjectStore

from .conftest import ACCOUNT, BUCKET, REGION, Registry
from .label_datasets import create, imported, new_project
from .label_lines import boxes, image
from .label_versions import (
    CHECKS,
    SUMMARY,
    TESTING,
    TRAINING,
    assets,
    described,
    failed,
    id_of,
    place,
    raw,
    status,
    versions,
)
from .test_customlabels_projects import refused
from .test_lifecycle import requests_for
from .versions import METRICS

OUTPUT = {"S3Bucket": BUCKET, "S3KeyPrefix": "out/"}
LINES = (image("a", "x"), image("b", "y", cl="1"), image("c"), boxes("d", "x"), '{"no": "source"}')


@pytest.fixture(scope="module")
def client(quiet: Registry) -> Any:
    """A client of a registry whose jobs wait until a test does them."""
    return quiet.rekognition()


@pytest.fixture
def project(client: Any) -> str:
    """A new project's ARN."""
    return new_project(client)


@pytest.fixture(scope="module", autouse=True)
def nothing_left(quiet: Registry) -> Any:
    """Trainings that nobody does count against the account's limit."""
    yield
    quiet.sql("update registry.model_versions set state = 'TRAINING_FAILED' where state = 'TRAINING'")


def jobs(registry: Registry, arn: str, task: str) -> list[dict[str, Any]]:
    query = f"select args from {JOBS_SCHEMA}.procrastinate_jobs where task_name = %s and args->>'subject' = %s"
    return [args for (args,) in registry.sql(query, task, str(id_of(registry, arn)))]


def tell(registry: Registry, event: TrainingCompleted | TrainingFailed) -> None:
    """What training says of a version."""

    async def apply(deps: Any) -> None:
        await trainings.apply(deps.database, event)

    registry.run(apply)


def completed(arn: str) -> TrainingCompleted:
    return TrainingCompleted(
        model_arn=arn,
        attempt=1,
        artifact=ObjectRef(bucket="vigia-artifacts", key=f"{arn}/manifest.json", sha256="0" * 64, size=2),
        manifest={"format": "vigia-model/1"},
        metrics=METRICS,
        evaluation_manifest=ObjectRef(bucket=BUCKET, key="out/TestingGroundTruth.json"),
        evaluation_result=ObjectRef(bucket=BUCKET, key="out/EvaluationResultSummary.json"),
        training_snapshot=ObjectRef(bucket=BUCKET, key="out/TrainingGroundTruth.json"),
        checks=CHECKS,
        seconds=61.2,
        completed_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    )


def train(client: Any, project: str, name: str = "v1", **more: Any) -> str:
    answer = client.create_project_version(ProjectArn=project, VersionName=name, OutputConfig=OUTPUT, **more)
    return str(answer["ProjectVersionArn"])


# --- training on datasets -----------------------------------------------------------------------------------------


def test_a_version_is_trained_on_all_lines_of_the_datasets(registry: Registry) -> None:
    """With the worker: the request goes to training by itself."""
    client = registry.rekognition()
    project = new_project(client)
    imported(registry, client, *LINES[:4], project=project)
    more = {"VersionDescription": "the first", "Tags": {"line": "1"}}
    arn = train(client, project, "v.1-a", **more)
    assert re.fullmatch(rf"{re.escape(project.rpartition('/')[0])}/version/v\.1-a/[0-9]{{13}}", arn)
    found = described(client, arn)
    assert (found["Status"], found["StatusMessage"]) == ("TRAINING_IN_PROGRESS", "The model is being trained.")
    assert (found["VersionDescription"], found["Feature"]) == ("the first", "CUSTOM_LABELS")
    assert found["OutputConfig"] == OUTPUT
    assert not {"EvaluationResult", "TrainingDataResult", "ManifestSummary", "MinInferenceUnits"} & set(found)
    assert client.list_tags_for_resource(ResourceArn=arn)["Tags"] == {"line": "1"}

    [request] = requests_for(registry, arn)
    assert (request.service, request.project, request.model_version) == ("rekognition", project.split("/")[1], "v.1-a")
    assert (request.output.bucket, request.output.prefix, request.test_manifest) == (BUCKET, "out/", None)
    snapshot = registry.opened(request.training_manifest.bucket, request.training_manifest.key)
    assert [json.loads(line)["source-ref"][-1] for line in snapshot.splitlines()] == ["a", "b", "c", "d"]
    [(project_id,)] = registry.sql("select id from registry.projects where arn = %s", project)
    assert request.artifact_prefix.prefix == f"{ACCOUNT}/{project_id}/1"
    registry.sql("update registry.model_versions set state = 'TRAINING_FAILED' where arn = %s", arn)


def test_what_training_found_is_told(quiet: Registry, client: Any, project: str) -> None:
    imported_there(quiet, client, project)
    arn = train(client, project, Tags={})
    tell(quiet, completed(arn))
    # As P-07 waits.
    client.get_waiter("project_version_training_completed").wait(ProjectArn=project, VersionNames=["v1"])
    found = described(client, arn)
    assert found.pop("CreationTimestamp") < datetime.now(UTC)
    assert found == {
        "ProjectVersionArn": arn,
        "Status": "TRAINING_COMPLETED",
        "StatusMessage": "The model is ready to run.",
        "BillableTrainingTimeInSeconds": 62,
        "TrainingEndTimestamp": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "OutputConfig": OUTPUT,
        "TrainingDataResult": {
            "Input": {"Assets": []},
            "Output": assets(place(ObjectRef(bucket=BUCKET, key="out/TrainingGroundTruth.json"))),
            "Validation": assets(place(TRAINING)),
        },
        "TestingDataResult": {
            "Input": {"Assets": [], "AutoCreate": True},
            "Output": assets(place(ObjectRef(bucket=BUCKET, key="out/TestingGroundTruth.json"))),
            "Validation": assets(place(TESTING)),
        },
        "EvaluationResult": {
            "F1Score": 0.9,
            "Summary": place(ObjectRef(bucket=BUCKET, key="out/EvaluationResultSummary.json")),
        },
        "ManifestSummary": place(SUMMARY),
        "Feature": "CUSTOM_LABELS",
    }


def imported_there(registry: Registry, client: Any, project: str, kind: str = "TRAIN") -> str:
    """A dataset with lines that no job has to read."""
    arn = create(client, project, kind)
    dataset = arn.split("/")[-2], project
    registry.sql(
        "insert into registry.dataset_entries (dataset_id, source_ref, line, labeled) select d.id, %s, %s, true from "
        "registry.datasets d join registry.projects p on p.id = d.project_id where d.kind = %s and p.arn = %s",
        *("s3://b/a", image("a", "x"), *dataset),
    )
    return arn


def test_a_training_that_fails_by_the_data_says_where_the_errors_are(
    quiet: Registry, client: Any, project: str
) -> None:
    imported_there(quiet, client, project)
    imported_there(quiet, client, project, "TEST")
    arn = train(client, project)
    tell(quiet, failed(arn, "bad_data", "The manifest file has too few labels."))
    found = described(client, arn)
    assert (found["Status"], found["StatusMessage"]) == ("TRAINING_FAILED", "The manifest file has too few labels.")
    assert found["ManifestSummary"] == place(SUMMARY)
    assert found["TrainingDataResult"]["Validation"] == assets(place(TRAINING))
    assert found["TestingDataResult"]["Validation"] == assets(place(TESTING))
    assert found["TestingDataResult"]["Input"] == {"Assets": [], "AutoCreate": False}
    assert not {"EvaluationResult", "BillableTrainingTimeInSeconds", "TrainingEndTimestamp"} & set(found)
    code, _ = refused(lambda: client.start_project_version(ProjectVersionArn=arn, MinInferenceUnits=1))
    assert code == "ResourceInUseException"


def test_a_fault_of_the_service_is_one_and_shows_nothing(quiet: Registry, client: Any, project: str) -> None:
    imported_there(quiet, client, project)
    arn = train(client, project)
    tell(quiet, failed(arn, "failed", "a worker died at line 7"))
    found = described(client, arn)
    assert found["StatusMessage"] == "Amazon Rekognition experienced a service issue."
    assert not {"ManifestSummary", "TrainingDataResult", "TestingDataResult"} & set(found)


def test_what_cannot_be_trained_is_refused_and_leaves_nothing(quiet: Registry, client: Any, project: str) -> None:
    assert refused(lambda: train(client, project)) == (
        "InvalidParameterException",
        "The project has no training dataset.",
    )
    imported_there(quiet, client, project)
    imported_there(quiet, client, project, "TEST")
    code, message = refused(lambda: train(client, project, TestingData={"AutoCreate": True}))
    assert (code, "test dataset" in message) == ("InvalidParameterException", True)
    external = assets(place(ObjectRef(bucket=BUCKET, key="some.manifest")))
    code, message = refused(lambda: train(client, project, TrainingData=external, TestingData=external))
    assert (code, "has datasets" in message) == ("InvalidParameterException", True)
    for bucket, prefix in (("no-such-bucket-anywhere", ""), (quiet.settings.buckets.artifacts, ""), (BUCKET, "a//b")):
        output = {"S3Bucket": bucket, "S3KeyPrefix": prefix}
        request = {"ProjectArn": project, "VersionName": "v", "OutputConfig": output}
        code, message = refused(lambda request=request: client.create_project_version(**request))
        assert (code, "output" in message) == ("InvalidParameterException", True)
    assert refused(lambda: train(client, project, KmsKeyId="no-such-key"))[0] == "InvalidParameterException"
    assert refused(lambda: train(client, project + "1"))[0] == "ResourceNotFoundException"
    assert versions(client, project) == []


def test_a_name_is_given_once(quiet: Registry, client: Any, project: str) -> None:
    imported_there(quiet, client, project)
    train(client, project)
    assert refused(lambda: train(client, project))[0] == "ResourceInUseException"
    assert [one["ProjectVersionArn"].split("/")[3] for one in versions(client, project)] == ["v1"]


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"ProjectArn": None}, "projectArn"),
        ({"ProjectArn": "arn:aws:rekognition:us-east-1:1:project/x/1"}, "projectArn"),
        ({"VersionName": None}, "versionName"),
        ({"VersionName": "a b"}, "versionName"),
        ({"VersionName": "x" * 256}, "versionName"),
        ({"OutputConfig": None}, "outputConfig"),
        ({"OutputConfig": {"S3KeyPrefix": "x"}}, "outputConfig.s3Bucket"),
        ({"OutputConfig": {"S3Bucket": "a/b"}}, "outputConfig.s3Bucket"),
        ({"OutputConfig": {"S3Bucket": BUCKET, "S3KeyPrefix": "x" * 1025}}, "outputConfig.s3KeyPrefix"),
        ({"KmsKeyId": "!"}, "kmsKeyId"),
        ({"VersionDescription": ""}, "versionDescription"),
        ({"VersionDescription": "x" * 256}, "versionDescription"),
        ({"VersionDescription": "<b>"}, "versionDescription"),
        ({"Tags": {"semi;colon": "1"}}, "tags"),
        ({"Tags": {f"k{number}": "" for number in range(201)}}, "tags"),
        ({"TestingData": {"AutoCreate": "yes"}}, "testingData.autoCreate"),
        ({"TestingData": assets({"S3Object": {"Bucket": "abc", "Name": "k"}})}, "trainingData.assets"),
        ({"TrainingData": assets({"S3Object": {"Bucket": "abc", "Name": "k"}})}, "testingData.assets"),
        ({"TrainingData": assets({"S3Object": {"Bucket": "abc", "Name": ""}})}, "s3Object.name"),
        ({"TrainingData": assets({"S3Object": {"Bucket": "ab", "Name": "k"}})}, "s3Object.bucket"),
        ({"TrainingData": {"Assets": [{}]}}, "groundTruthManifest"),
        ({"TrainingData": {"Assets": [{}, {}]}}, "trainingData.assets"),
        ({"FeatureConfig": {"ContentModeration": {"ConfidenceThreshold": 1.0}}}, "featureConfig"),
    ],
)
def test_what_breaks_a_rule_is_named(quiet: Registry, given: dict[str, Any], named: str) -> None:
    arn = f"arn:aws:rekognition:{REGION}:{ACCOUNT}:project/x/1"
    request = {"ProjectArn": arn, "VersionName": "v", "OutputConfig": OUTPUT, **given}
    answer = raw(quiet, "CreateProjectVersion", {name: value for name, value in request.items() if value is not None})
    assert answer["__type"] == "InvalidParameterException"
    assert f"'{named}" in answer["message"] or f".{named}'" in answer["message"], answer


# --- training on given manifests ----------------------------------------------------------------------------------


def stored(registry: Registry, content: bytes) -> ObjectRef:
    found = registry.put(content)
    return ObjectRef(bucket=found["Bucket"], key=found["Key"])


def read(registry: Registry, arn: str) -> None:
    """Do the job that reads the manifests which were given."""
    model = id_of(registry, arn)

    async def job(deps: Any) -> None:
        rights, most = asked_rights(deps.settings.buckets, None), deps.settings.custom_labels.max_manifest_bytes
        await given.read(deps.database, deps.objects, deps.settings.buckets, most, model, rights)

    registry.run(job)


def test_manifests_are_given_as_an_earlier_training_left_them(quiet: Registry, client: Any, project: str) -> None:
    validated = json.loads(image("b", "y")) | {"errors": [{"code": "ERROR_INVALID_IMAGE", "message": "m"}]}
    content = "\n".join([image("a", "x"), json.dumps(validated), '{"errors": []}', ""]).encode()
    training, testing = stored(quiet, content), stored(quiet, image("t", "x").encode())
    arn = train(client, project, TrainingData=assets(place(training)), TestingData=assets(place(testing)))
    assert status(client, arn) == "TRAINING_IN_PROGRESS"
    assert len(jobs(quiet, arn, "read-manifests")) == 1
    read(quiet, arn)
    read(quiet, arn)
    assert status(client, arn) == "TRAINING_IN_PROGRESS"
    [(train_ref, test_ref)] = quiet.sql(
        "select training_manifest, test_manifest from registry.model_versions where arn = %s", arn
    )
    assert quiet.opened(train_ref["bucket"], train_ref["key"]) == content
    assert quiet.opened(test_ref["bucket"], test_ref["key"]) == image("t", "x").encode()
    # It is asked for once.
    assert quiet.sql("select count(*) from registry.outbox where key = %s", arn.encode()) == [(1,)]
    tell(quiet, completed(arn))
    found = described(client, arn)
    assert found["TrainingDataResult"]["Input"] == assets(place(training))
    assert found["TestingDataResult"]["Input"] == {**assets(place(testing)), "AutoCreate": False}


def test_large_manifests_pass_by(quiet: Registry, client: Any, project: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "_HELD", 1000)
    content = "\r\n".join(image(f"{number:04}", "x") for number in range(2000)).encode() + b"\n" + b"x" * 3_000_000
    training = stored(quiet, content)
    arn = train(client, project, TrainingData=assets(place(training)), TestingData={"AutoCreate": True})
    read(quiet, arn)
    query = "select training_manifest from registry.model_versions where arn = %s"
    [(ref,)] = quiet.sql(query, arn)
    assert quiet.opened(ref["bucket"], ref["key"]) == content
    assert (ref["sha256"], ref["size"]) == (hashlib.sha256(content).hexdigest(), len(content))
    # One that is another when it is read again is not trained on, and not lost: the job is done anew.
    other = stored(quiet, b"\n" + content)
    arn = train(client, project, "other", TrainingData=assets(place(other)), TestingData={"AutoCreate": True})
    put_stream = ObjectStore.put_stream

    async def late(self: ObjectStore, *args: Any, **more: Any) -> Any:
        quiet.s3().put_object(Bucket=other.bucket, Key=other.key, Body=b"\n\n" + content)
        return await put_stream(self, *args, **more)

    with monkeypatch.context() as patched:
        patched.setattr(ObjectStore, "put_stream", late)
        with pytest.raises(Transient, match="changed meanwhile"):
            read(quiet, arn)
    assert quiet.sql(query, arn) == [(None,)]
    read(quiet, arn)
    [(ref,)] = quiet.sql(query, arn)
    assert quiet.opened(ref["bucket"], ref["key"]) == b"\n\n" + content


def test_one_manifest_may_be_split(quiet: Registry, client: Any, project: str) -> None:
    training = stored(quiet, image("a", "x").encode())
    arn = train(client, project, TrainingData=assets(place(training)), TestingData={"AutoCreate": True})
    read(quiet, arn)
    tell(quiet, completed(arn))
    found = described(client, arn)
    assert found["TestingDataResult"]["Input"] == {"Assets": [], "AutoCreate": True}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "The manifest file extension or contents are invalid."),
        (b"", "The manifest file is empty."),
        (b"\n \r\n", "The manifest file is empty."),
        (b"x" * 2_000_001, "The manifest file size exceeds the maximum supported size."),
    ],
)
def test_a_manifest_that_is_none_fails_the_training(
    quiet: Registry, client: Any, project: str, content: bytes | None, message: str
) -> None:
    training = ObjectRef(bucket=BUCKET, key="no-such.manifest") if content is None else stored(quiet, content)
    arn = train(client, project, TrainingData=assets(place(training)), TestingData={"AutoCreate": True})
    model = id_of(quiet, arn)

    async def job(deps: Any) -> None:
        rights = asked_rights(deps.settings.buckets, None)
        await given.read(deps.database, deps.objects, deps.settings.buckets, 2_000_000, model, rights)

    quiet.run(job)
    found = described(client, arn)
    assert (found["Status"], found["StatusMessage"]) == ("TRAINING_FAILED", message)
    assert not {"ManifestSummary", "TrainingDataResult"} & set(found)


def test_nothing_of_others_is_read_through_a_given_manifest(quiet: Registry, client: Any, project: str) -> None:
    ours = quiet.settings.buckets.datasets
    quiet.s3().put_object(Bucket=ours, Key="999999999999/a.manifest", Body=image("a", "x").encode())
    foreign = ObjectRef(bucket=ours, key="999999999999/a.manifest")
    arn = train(client, project, "a", TrainingData=assets(place(foreign)), TestingData={"AutoCreate": True})
    read(quiet, arn)
    assert described(client, arn)["StatusMessage"] == "The S3 bucket permissions are incorrect."
    # Nor are images, however the line names them.
    hidden = image("a", "x", bucket=ours).replace("vigia", "\\u0076igia")
    twice = '{"source-ref": "s3://' + ours + '/999999999999/i.jpg", "source-ref": "s3://b/i.jpg"}'
    for name, line in (("b", hidden), ("c", twice)):
        listed = stored(quiet, f"{image('z', 'x')}\n{line}\n".encode())
        arn = train(client, project, name, TrainingData=assets(place(listed)), TestingData={"AutoCreate": True})
        read(quiet, arn)
        assert described(client, arn)["StatusMessage"] == "The permissions for the images S3 bucket are invalid."


def test_the_worker_reads_what_was_given(registry: Registry) -> None:
    client = registry.rekognition()
    training = stored(registry, image("a", "x").encode())
    arn = train(client, new_project(client), TrainingData=assets(place(training)), TestingData={"AutoCreate": True})
    [request] = requests_for(registry, arn)
    assert registry.opened(request.training_manifest.bucket, request.training_manifest.key) == image("a", "x").encode()
    registry.sql("update registry.model_versions set state = 'TRAINING_FAILED' where arn = %s", arn)
