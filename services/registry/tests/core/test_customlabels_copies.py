"""Copies of Custom Labels' model versions, in the own account and in another's."""

from __future__ import annotations

import json
import re
import uuid
from typing import Any

import pytest

from vigia_contracts.base import ObjectRef
from vigia_registry.models import copying
from vigia_registry.models.deletion import delete_model
from vigia_registry.models.outputs import ResultFile
from vigia_registry.objects import asked_rights
from vigia_runtime.policies import canonical
from vigia_runtime.sealing import Keyring

from .conftest import ACCOUNT, BUCKET, REGION, SEALING_KEY, Registry, until
from .label_datasets import new_project
from .label_versions import assets, described, id_of, place, status, versions
from .test_customlabels_projects import refused
from .versions import labelled


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
