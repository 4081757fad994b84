"""Model versions of Custom Labels as their clients see them: states on which the samples' loops depend, what training
is asked and what it tells, and copies."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from vigia_contracts.base import ObjectRef
from vigia_contracts.training import ManifestChecks, TrainingCompleted, TrainingFailed
from vigia_registry.jobs.queue import JOBS_SCHEMA
from vigia_registry.models import copying, given, snapshots, trainings
from vigia_registry.models.deletion import delete_model
from vigia_registry.models.outputs import ResultFile
from vigia_registry.objects import asked_rights
from vigia_runtime.errors import Transient
from vigia_runtime.objects import ObjectStore
from vigia_runtime.policies import canonical
from vigia_runtime.sealing import Keyring

from .conftest import ACCOUNT, BUCKET, KEY, REGION, SEALING_KEY, SECRET, Registry, until
from .label_lines import boxes, image
from .test_customlabels_datasets import create, imported, new_project
from .test_customlabels_projects import refused
from .test_lifecycle import requests_for
from .versions import METRICS, labelled, trained

OUTPUT = {"S3Bucket": BUCKET, "S3KeyPrefix": "out/"}
#: What samples read without asking whether it is there.
MEMBERS = {"ProjectVersionArn", "CreationTimestamp", "Status", "StatusMessage"}
LINES = (image("a", "x"), image("b", "y", cl="1"), image("c"), boxes("d", "x"), '{"no": "source"}')
SUMMARY, TRAINING, TESTING = (
    ObjectRef(bucket=BUCKET, key=f"out/{name}.json") for name in ("ManifestSummary", "Training", "Testing")
)
CHECKS = ManifestChecks(summary=SUMMARY, training=TRAINING, testing=TESTING)


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


def jobs(registry: Registry, arn: str, task: str) -> list[dict[str, Any]]:
    query = f"select args from {JOBS_SCHEMA}.procrastinate_jobs where task_name = %s and args->>'subject' = %s"
    return [args for (args,) in registry.sql(query, task, str(id_of(registry, arn)))]


def hosted(registry: Registry, arn: str, observed: str, reason: str | None = None) -> None:
    """What hosting would have seen of the version."""
    registry.sql(
        "update registry.hostings set observed = %s, reason = %s, in_service_units = %s where model_version_id = %s",
        *(observed, reason, 1 if observed == "serving" else 0, id_of(registry, arn)),
    )


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


def failed(arn: str, code: str, message: str) -> TrainingFailed:
    return TrainingFailed(
        model_arn=arn, attempt=1, code=code, message=message, checks=CHECKS, failed_at=datetime.now(UTC)
    )


def place(ref: ObjectRef) -> dict[str, Any]:
    return {"S3Object": {"Bucket": ref.bucket, "Name": ref.key}}


def assets(*places: dict[str, Any]) -> dict[str, Any]:
    return {"Assets": [{"GroundTruthManifest": one} for one in places]}


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


def raw(registry: Registry, operation: str, body: dict[str, Any]) -> dict[str, Any]:
    """The answer to a request that no client would send."""
    headers = {"X-Amz-Target": f"RekognitionService.{operation}", "Content-Type": "application/x-amz-json-1.1"}
    request = AWSRequest("POST", f"{registry.url}/", data=json.dumps(body).encode(), headers=headers)
    SigV4Auth(Credentials(KEY, SECRET), "rekognition", REGION).add_auth(request)
    answer = httpx.post(f"{registry.url}/", content=request.data, headers=dict(request.headers), trust_env=False)
    found: dict[str, Any] = answer.json()
    return found


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


# --- hosting ------------------------------------------------------------------------------------------------------


def test_a_version_is_started_stopped_and_started_again(quiet: Registry, client: Any, project: str) -> None:
    arn = labelled(quiet, project, "v1")
    assert status(client, arn) == "TRAINING_COMPLETED"
    answer = client.start_project_version(ProjectVersionArn=arn, MinInferenceUnits=1, MaxInferenceUnits=3)
    assert answer["Status"] == "STARTING"
    found = described(client, arn)
    assert (found["Status"], found["MinInferenceUnits"], found["MaxInferenceUnits"]) == ("STARTING", 1, 3)
    code, message = refused(lambda: client.start_project_version(ProjectVersionArn=arn, MinInferenceUnits=1))
    assert (code, "STARTING" in message) == ("ResourceInUseException", True)
    for operation in (client.stop_project_version, client.delete_project_version):
        code, _ = refused(lambda operation=operation: operation(ProjectVersionArn=arn))
        assert code == "ResourceInUseException"
    hosted(quiet, arn, "serving")
    # As P-10 waits.
    client.get_waiter("project_version_running").wait(ProjectArn=project, VersionNames=["v1"])
    assert described(client, arn)["StatusMessage"] == "The model is running."
    code, message = refused(lambda: client.delete_project_version(ProjectVersionArn=arn))
    assert (code, "is RUNNING" in message) == ("ResourceInUseException", True)
    assert client.stop_project_version(ProjectVersionArn=arn)["Status"] == "STOPPING"
    # As P-11 looks: anything but STOPPING and STOPPED ends the sample.
    assert status(client, arn) == "STOPPING"
    hosted(quiet, arn, "absent")
    found = described(client, arn)
    assert (found["Status"], found["StatusMessage"]) == ("STOPPED", "The model has stopped running.")
    assert not {"MinInferenceUnits", "MaxInferenceUnits"} & set(found)
    assert client.start_project_version(ProjectVersionArn=arn, MinInferenceUnits=2)["Status"] == "STARTING"
    hosted(quiet, arn, "failed", "no memory")
    found = described(client, arn)
    assert (found["Status"], found["StatusMessage"]) == ("FAILED", "no memory")
    assert client.stop_project_version(ProjectVersionArn=arn)["Status"] == "STOPPING"
    assert status(client, arn) == "STOPPED"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({}, "InvalidParameterException"),
        ({"MinInferenceUnits": 0}, "InvalidParameterException"),
        ({"MinInferenceUnits": True}, "InvalidParameterException"),
        ({"MinInferenceUnits": 1.5}, "InvalidParameterException"),
        ({"MinInferenceUnits": 2, "MaxInferenceUnits": 1}, "InvalidParameterException"),
        ({"MinInferenceUnits": 6}, "LimitExceededException"),
        ({"MinInferenceUnits": 1, "MaxInferenceUnits": 6}, "LimitExceededException"),
        ({"MinInferenceUnits": 1}, "ResourceNotFoundException"),
    ],
)
def test_units_are_checked(quiet: Registry, given: dict[str, Any], code: str) -> None:
    arn = f"arn:aws:rekognition:{REGION}:{ACCOUNT}:project/x/version/v/1700000000000"
    assert raw(quiet, "StartProjectVersion", {"ProjectVersionArn": arn, **given})["__type"] == code


def test_a_deleted_version_is_still_seen_and_then_gone(quiet: Registry, client: Any, project: str) -> None:
    """As J-18 needs it, which goes on until it sees the version, and P-22, which goes on until it sees none."""
    arn = labelled(quiet, project, "v1")
    client.tag_resource(ResourceArn=arn, Tags={"line": "1"})
    assert client.delete_project_version(ProjectVersionArn=arn)["Status"] == "DELETING"
    assert described(client, arn)["Status"] == "DELETING"
    assert refused(lambda: client.delete_project_version(ProjectVersionArn=arn))[0] == "ResourceInUseException"
    assert refused(lambda: client.delete_project(ProjectArn=project))[0] == "ResourceInUseException"
    model = id_of(quiet, arn)
    due = f"select scheduled_at is not null from {JOBS_SCHEMA}.procrastinate_jobs where args->>'subject' = %s"
    assert quiet.sql(due, str(model)) == [(True,)]

    async def job(deps: Any) -> None:
        await delete_model(deps.database, deps.objects, deps.settings.buckets.artifacts, model)

    quiet.run(job)
    assert versions(client, project, "v1") == []
    assert refused(lambda: client.delete_project_version(ProjectVersionArn=arn))[0] == "ResourceNotFoundException"
    assert refused(lambda: client.list_tags_for_resource(ResourceArn=arn))[0] == "ResourceNotFoundException"
    folder = quiet.s3().list_objects_v2(Bucket=quiet.settings.buckets.artifacts, Prefix=f"{ACCOUNT}/{model}")
    assert folder["KeyCount"] == 0
    # The evaluation is the customer's.
    assert quiet.s3().head_object(Bucket=BUCKET, Key=f"results/{ResultFile.EVALUATION.of(project.split('/')[1], 'v1')}")


def test_the_worker_deletes_once_it_was_seen(registry: Registry) -> None:
    client = registry.rekognition()
    project = new_project(client)
    arn = labelled(registry, project, "v1")
    client.delete_project_version(ProjectVersionArn=arn)
    assert status(client, arn) == "DELETING"
    until(lambda: versions(client, project, "v1") == [])


# --- lists --------------------------------------------------------------------------------------------------------


def test_versions_are_listed_newest_first_in_pages_and_by_name(quiet: Registry, client: Any, project: str) -> None:
    assert versions(client, project) == []
    arns = [labelled(quiet, project, f"v{number}") for number in range(5)]
    assert [one["ProjectVersionArn"] for one in versions(client, project)] == arns[::-1]
    pages = client.get_paginator("describe_project_versions").paginate(
        ProjectArn=project, PaginationConfig={"PageSize": 2}
    )
    found = [[one["ProjectVersionArn"] for one in page["ProjectVersionDescriptions"]] for page in pages]
    assert found == [arns[:2:-1], arns[2:0:-1], arns[:1]]
    assert [one["ProjectVersionArn"] for one in versions(client, project, "v3", "v1", "nobody")] == [arns[3], arns[1]]
    assert versions(client, project, "nobody") == []
    first = client.describe_project_versions(ProjectArn=project, MaxResults=1, NextToken="")
    request = {"ProjectArn": project, "VersionNames": ["v1", "v2"], "NextToken": first["NextToken"]}
    assert refused(lambda: client.describe_project_versions(**request))[0] == "InvalidPaginationTokenException"


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"MaxResults": 0}, "InvalidParameterException"),
        ({"MaxResults": 101}, "ValidationException"),
        ({"VersionNames": []}, "InvalidParameterException"),
        ({"VersionNames": [f"v{number}" for number in range(11)]}, "InvalidParameterException"),
        ({"VersionNames": ["a b"]}, "InvalidParameterException"),
        ({"NextToken": "x"}, "ResourceNotFoundException"),
        ({}, "ResourceNotFoundException"),
    ],
)
def test_lists_are_asked_for_properly(quiet: Registry, more: dict[str, Any], code: str) -> None:
    arn = f"arn:aws:rekognition:{REGION}:{ACCOUNT}:project/nobody/1700000000000"
    assert raw(quiet, "DescribeProjectVersions", {"ProjectArn": arn, **more})["__type"] == code


def test_versions_of_both_services_stand_apart_where_they_are_hosted(quiet: Registry) -> None:
    name = f"both-{uuid.uuid4().hex[:12]}"
    client = quiet.rekognition()
    quiet.client().create_project(ProjectName=name)
    arns = {
        "lookoutvision": trained(quiet, name),
        "rekognition": labelled(quiet, client.create_project(ProjectName=name)["ProjectArn"], "1"),
    }
    client.start_project_version(ProjectVersionArn=arns["rekognition"], MinInferenceUnits=2)
    quiet.client().start_model(ProjectName=name, ModelVersion="1", MinInferenceUnits=1)
    answer = httpx.get(f"{quiet.url}/api/v1/hosting", auth=(KEY, SECRET), trust_env=False)
    found = {one["service"]: one for one in answer.json()["items"] if one["project"] == name}
    assert {service: one["arn"] for service, one in found.items()} == arns
    assert {service: one["min_units"] for service, one in found.items()} == {"lookoutvision": 1, "rekognition": 2}
    # And neither protocol knows the other's.
    assert [one["ProjectVersionArn"] for one in versions(client, project_of(client, name))] == [arns["rekognition"]]
    [model] = quiet.client().list_models(ProjectName=name)["Models"]
    assert model["ModelArn"] == arns["lookoutvision"]
    code, _ = refused(lambda: quiet.client().list_tags_for_resource(ResourceArn=arns["rekognition"]))
    assert code == "ResourceNotFoundException"


def project_of(client: Any, name: str) -> str:
    return str(client.describe_projects(ProjectNames=[name])["ProjectDescriptions"][0]["ProjectArn"])


# --- tags ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["version", "project", "dataset"])
def test_versions_projects_and_datasets_have_tags(quiet: Registry, client: Any, project: str, kind: str) -> None:
    makers: dict[str, Callable[[], str]] = {
        "version": lambda: labelled(quiet, project, "version"),
        "project": lambda: project,
        "dataset": lambda: create(client, project),
    }
    arn = makers[kind]()
    assert client.list_tags_for_resource(ResourceArn=arn)["Tags"] == {}
    client.tag_resource(ResourceArn=arn, Tags={"stage": "test", "Straße": ""})
    client.tag_resource(ResourceArn=arn, Tags={"stage": "production"})
    assert client.list_tags_for_resource(ResourceArn=arn)["Tags"] == {"stage": "production", "Straße": ""}
    client.untag_resource(ResourceArn=arn, TagKeys=["Straße", "nothing"])
    assert client.list_tags_for_resource(ResourceArn=arn)["Tags"] == {"stage": "production"}
    many = {f"k{number}": "" for number in range(50)}
    code, _ = refused(lambda: client.tag_resource(ResourceArn=arn, Tags=many))
    assert code == "ServiceQuotaExceededException"
    assert refused(lambda: client.tag_resource(ResourceArn=arn, Tags={"aws:x": ""}))[0] == "InvalidParameterException"
    assert client.list_tags_for_resource(ResourceArn=arn)["Tags"] == {"stage": "production"}
    other = re.sub("[0-9]$", "", arn) + ("1" if arn[-1] != "1" else "2")
    assert refused(lambda: client.list_tags_for_resource(ResourceArn=other))[0] == "ResourceNotFoundException"
    assert refused(lambda: client.tag_resource(ResourceArn=other, Tags={}))[0] == "ResourceNotFoundException"
    assert refused(lambda: client.untag_resource(ResourceArn=other, TagKeys=[]))[0] == "ResourceNotFoundException"


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("TagResource", {"ResourceArn": "x" * 20}),
        ("TagResource", {"ResourceArn": "short", "Tags": {}}),
        ("TagResource", {"ResourceArn": "x" * 20, "Tags": ["a"]}),
        ("TagResource", {"ResourceArn": "x" * 20, "Tags": {"a": "v" * 257}}),
        ("UntagResource", {"ResourceArn": "x" * 20}),
        ("UntagResource", {"ResourceArn": "x" * 20, "TagKeys": "a"}),
        ("UntagResource", {"ResourceArn": "x" * 20, "TagKeys": [f"k{number}" for number in range(201)]}),
        ("ListTagsForResource", {"ResourceArn": "x" * 2049}),
    ],
)
def test_tags_are_asked_for_properly(quiet: Registry, operation: str, body: dict[str, Any]) -> None:
    assert raw(quiet, operation, body)["__type"] == "InvalidParameterException"


# --- copies -------------------------------------------------------------------------------------------------------

OTHER = "444455556666"


def copy(client: Any, source: str, source_project: str, destination: str, name: str = "copied", **more: Any) -> str:
    answer = client.copy_project_version(
        **{
            "SourceProjectArn": source_project,
            "SourceProjectVersionArn": source,
            "DestinationProjectArn": destination,
            "VersionName": name,
            "OutputConfig": {"S3Bucket": BUCKET, "S3KeyPrefix": "copies"},
            **more,
        }
    )
    return str(answer["ProjectVersionArn"])


def do_copy(registry: Registry, arn: str) -> None:
    """Do the job that copies."""
    model = id_of(registry, arn)

    async def job(deps: Any) -> None:
        rights = asked_rights(deps.settings.buckets, None)
        await copying.copy(deps.database, deps.objects, deps.settings.buckets.artifacts, model, rights)

    registry.run(job)


def test_a_copy_is_the_destinations_own(quiet: Registry, client: Any, project: str) -> None:
    assert quiet.settings.objects.keys_folder is not None
    (quiet.settings.objects.keys_folder / f"{ACCOUNT}.copies").write_text("k" * 44)
    source = labelled(quiet, project, "v1", description="the first")
    destination = new_project(client)
    for report in ("html", "json"):
        key = f"results/EvaluationReport-{project.split('/')[1]}-v1.{report}"
        quiet.s3().put_object(Bucket=BUCKET, Key=key, Body=f"report of {source}".encode())
    arn = copy(client, source, project, destination, Tags={"line": "2"}, KmsKeyId="alias/copies")
    assert re.fullmatch(rf"{re.escape(destination.rpartition('/')[0])}/version/copied/[0-9]{{13}}", arn)
    found = described(client, arn)
    assert (found["Status"], found["SourceProjectVersionArn"]) == ("COPYING_IN_PROGRESS", source)
    for operation in (client.delete_project_version, client.stop_project_version):
        code, _ = refused(lambda operation=operation: operation(ProjectVersionArn=arn))
        assert code == "ResourceInUseException"
    do_copy(quiet, arn)
    do_copy(quiet, arn)

    found, name = described(client, arn), destination.split("/")[1]
    assert (found["Status"], found["KmsKeyId"], found["VersionDescription"]) == (
        "COPYING_COMPLETED",
        "alias/copies",
        "the first",
    )
    keys = {kind: f"copies/{kind.of(name, 'copied')}" for kind in ResultFile}
    assert found["EvaluationResult"] == {"F1Score": 0.9, "Summary": at(keys[ResultFile.EVALUATION])}
    assert found["ManifestSummary"] == at(keys[ResultFile.SUMMARY])
    assert found["TrainingDataResult"] == {
        "Output": assets(at(keys[ResultFile.TRAINING_SNAPSHOT])),
        "Validation": assets(at(keys[ResultFile.TRAINING_CHECKS])),
    }
    assert found["TestingDataResult"] == {
        "Output": assets(at(keys[ResultFile.TESTING_SNAPSHOT])),
        "Validation": assets(at(keys[ResultFile.TESTING_CHECKS])),
    }
    for kind, key in keys.items():
        content = quiet.s3().get_object(Bucket=BUCKET, Key=key)["Body"].read()
        assert content == f"{kind} of {source}".encode()
    for report, content_type in (("html", "text/html; charset=utf-8"), ("json", "application/json")):
        held = quiet.s3().get_object(Bucket=BUCKET, Key=f"copies/EvaluationReport-{name}-copied.{report}")
        assert (held["Body"].read(), held["ContentType"]) == (f"report of {source}".encode(), content_type)
    assert client.list_tags_for_resource(ResourceArn=arn)["Tags"] == {"line": "2"}

    [(ref,)] = quiet.sql("select artifact from registry.model_versions where arn = %s", arn)
    sealed = quiet.s3().get_object(Bucket=ref["bucket"], Key=ref["key"])["Body"].read()
    ring = Keyring([SEALING_KEY], quiet.settings.objects.keys_folder)
    opened = ring.open(sealed, f"{ref['bucket']}/{ref['key']}")
    assert json.loads(opened)["kind"] == "anomaly-segmentation"
    # The source may go; the copy can be started.
    client.delete_project_version(ProjectVersionArn=source)
    model = id_of(quiet, source)

    async def job(deps: Any) -> None:
        await delete_model(deps.database, deps.objects, deps.settings.buckets.artifacts, model)

    quiet.run(job)
    assert quiet.s3().head_object(Bucket=ref["bucket"], Key=ref["key"])
    assert client.start_project_version(ProjectVersionArn=arn, MinInferenceUnits=1)["Status"] == "STARTING"


def at(key: str) -> dict[str, Any]:
    return place(ObjectRef(bucket=BUCKET, key=key))


def test_the_worker_copies(registry: Registry) -> None:
    client = registry.rekognition()
    project = new_project(client)
    arn = copy(client, labelled(registry, project, "v1"), project, new_project(client))
    until(lambda: status(client, arn) == "COPYING_COMPLETED")


def test_a_copy_that_fails_says_why_and_can_be_deleted(quiet: Registry, client: Any, project: str) -> None:
    source = labelled(quiet, project, "v1")
    arn = copy(client, source, project, new_project(client))
    [(ref,)] = quiet.sql("select artifact from registry.model_versions where arn = %s", source)
    quiet.s3().delete_object(Bucket=ref["bucket"], Key=ref["key"].replace("manifest.json", "model.onnx"))
    do_copy(quiet, arn)
    found = described(client, arn)
    assert (found["Status"], "model.onnx" in found["StatusMessage"]) == ("COPYING_FAILED", True)
    assert client.delete_project_version(ProjectVersionArn=arn)["Status"] == "DELETING"


def test_results_that_are_gone_are_not_copied(quiet: Registry, client: Any, project: str) -> None:
    source = labelled(quiet, project, "v1")
    key = f"results/{ResultFile.SUMMARY.of(project.split('/')[1], 'v1')}"
    quiet.s3().delete_object(Bucket=BUCKET, Key=key)
    arn = copy(client, source, project, new_project(client))
    do_copy(quiet, arn)
    found = described(client, arn)
    assert found["Status"] == "COPYING_COMPLETED"
    assert "ManifestSummary" not in found
    assert "Validation" not in found["TrainingDataResult"]


def test_what_cannot_be_copied_is_refused(quiet: Registry, client: Any, project: str) -> None:
    source, destination = labelled(quiet, project, "v1"), new_project(client)

    def code(*arguments: str, **more: Any) -> str:
        return refused(lambda: copy(client, *arguments, **more))[0]

    other = new_project(client)
    assert code(source, other, destination) == "InvalidParameterException"
    assert code(source, project + "1", destination) == "ResourceNotFoundException"
    assert code(source + "1", project, destination) == "ResourceNotFoundException"
    assert code(source, project, destination + "1") == "ResourceNotFoundException"
    abroad = [arn.replace(REGION, "eu-west-1") for arn in (source, project)]
    assert code(*abroad, destination) == "InvalidParameterException"
    assert code(source, project, destination, Tags={"aws:a": ""}) == "InvalidParameterException"
    assert code(source, project, destination, KmsKeyId="no-such-key") == "InvalidParameterException"
    nowhere = {"S3Bucket": "no-such-bucket-anywhere"}
    assert code(source, project, destination, OutputConfig=nowhere) == "InvalidParameterException"
    unfinished = labelled(quiet, project, "v2", state="TRAINING_FAILED")
    assert code(unfinished, project, destination) == "ResourceInUseException"
    copy(client, source, project, destination)
    assert code(source, project, destination) == "ResourceInUseException"
    for number in range(4):
        copy(client, source, project, destination, f"c{number}")
    assert code(source, project, destination, "c4") == "LimitExceededException"
    assert len(versions(client, destination)) == 5


@pytest.fixture(scope="module")
def stranger(quiet: Registry) -> Any:
    """A client of another account."""
    key, secret = quiet.add_key(OTHER, user="copier")
    return quiet.rekognition(key, secret)


def allow(principal: Any, resource: str, effect: str = "Allow") -> str:
    action = "rekognition:CopyProjectVersion"
    statement = {"Effect": effect, "Principal": principal, "Action": action, "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_another_account_copies_what_a_policy_of_the_project_allows(
    quiet: Registry, client: Any, stranger: Any, project: str
) -> None:
    source, denied = labelled(quiet, project, "v1"), labelled(quiet, project, "v2")
    destination = new_project(stranger)
    # Neither whether it exists nor why is told.
    for theirs in (source, source + "1"):
        code, message = refused(lambda theirs=theirs: copy(stranger, theirs, project, destination))
        assert code == "AccessDeniedException"
        assert message.endswith(f"rekognition:CopyProjectVersion on resource: {theirs}")
    every = f"{project.rpartition('/')[0]}/version/*"
    client.put_project_policy(
        ProjectArn=project, PolicyName="all", PolicyDocument=allow({"AWS": OTHER}, every, "ALLOW")
    )
    client.put_project_policy(
        ProjectArn=project,
        PolicyName="but-one",
        PolicyDocument=allow({"AWS": f"arn:aws:iam::{OTHER}:user/copier"}, denied, "deny"),
    )
    arn = copy(stranger, source, project, destination)
    do_copy(quiet, arn)
    found = described(stranger, arn)
    assert (found["Status"], found["SourceProjectVersionArn"]) == ("COPYING_COMPLETED", source)
    assert refused(lambda: copy(stranger, denied, project, destination, "x"))[0] == "AccessDeniedException"
    # What does not exist is told to whom all versions are allowed.
    assert refused(lambda: copy(stranger, source + "1", project, destination, "x"))[0] == "ResourceNotFoundException"
    # Into others' projects nothing is copied, and the copy is nobody else's.
    assert refused(lambda: copy(stranger, source, project, new_project(client)))[0] == "ResourceNotFoundException"
    assert refused(lambda: client.delete_project_version(ProjectVersionArn=arn))[0] == "ResourceNotFoundException"


def test_a_policy_may_deny_the_own_account_too(quiet: Registry, client: Any, project: str) -> None:
    source, destination = labelled(quiet, project, "v1"), new_project(client)
    document = allow("*", source, "Deny")
    client.put_project_policy(ProjectArn=project, PolicyName="nobody", PolicyDocument=document)
    assert refused(lambda: copy(client, source, project, destination))[0] == "AccessDeniedException"
    client.delete_project_policy(ProjectArn=project, PolicyName="nobody")
    assert copy(client, source, project, destination)


def test_a_policy_of_a_project_does_not_stand_for_the_callers_own(quiet: Registry, client: Any, project: str) -> None:
    source = labelled(quiet, project, "v1")
    client.put_project_policy(ProjectArn=project, PolicyName="all", PolicyDocument=allow("*", source))
    document = canonical({"Statement": {"Effect": "Allow", "Action": "rekognition:Describe*", "Resource": "*"}})
    key, secret = quiet.add_user(f"u-{uuid.uuid4().hex[:8]}", document)
    reader = quiet.rekognition(key, secret)
    assert refused(lambda: copy(reader, source, project, project))[0] == "AccessDeniedException"
