"""Model versions of Custom Labels as their clients see them: states on which the samples' loops depend."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from vigia_registry.jobs.queue import JOBS_SCHEMA
from vigia_registry.models.deletion import delete_model
from vigia_registry.models.outputs import ResultFile

from .conftest import ACCOUNT, BUCKET, KEY, REGION, SECRET, Registry, until
from .label_datasets import create, new_project
from .label_versions import described, id_of, raw, status, versions
from .test_customlabels_projects import refused
from .versions import labelled, trained


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


def hosted(registry: Registry, arn: str, observed: str, reason: str | None = None) -> None:
    """What hosting would have seen of the version."""
    registry.sql(
        "update registry.hostings set observed = %s, reason = %s, in_service_units = %s where model_version_id = %s",
        *(observed, reason, 1 if observed == "serving" else 0, id_of(registry, arn)),
    )


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
