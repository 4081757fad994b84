"""Pages that stay put, requests that count once, and many callers at the same time."""

from __future__ import annotations

import base64
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from vigia_registry.models import snapshots, trainings

from .conftest import ACCOUNT, BUCKET, Registry, until
from .manifests import line, manifest
from .test_errors import refused
from .test_lifecycle import OUTPUT, becomes, completed, describe, report, requests_for, settled, trainable


def test_pages_neither_repeat_nor_skip_while_projects_come(registry: Registry) -> None:
    account = "555566667777"
    client = registry.client(*registry.add_key(account))
    names = [f"page-{n}" for n in range(7)]
    for name in names:
        client.create_project(ProjectName=name)
    first = client.list_projects(MaxResults=3)
    client.create_project(ProjectName="came-in-between")
    second = client.list_projects(MaxResults=3, NextToken=first["NextToken"])
    third = client.list_projects(MaxResults=100, NextToken=second["NextToken"])
    seen = [found["ProjectName"] for page in (first, second, third) for found in page["Projects"]]
    assert seen[:7] == names
    assert seen[7:] == ["came-in-between"]
    assert "NextToken" not in third


def test_a_page_token_cannot_be_forged_or_carried_over(registry: Registry, lookout: Any, project: str) -> None:
    trainable(registry, lookout, project)
    where = {"ProjectName": project, "DatasetType": "train"}
    token = lookout.list_dataset_entries(**where, MaxResults=5)["NextToken"]
    lookout.list_dataset_entries(**where, MaxResults=50, NextToken=token)
    sealed = bytearray(base64.b64decode(token))
    sealed[-2] ^= 1
    for call in (
        lambda: lookout.list_dataset_entries(**where, NextToken=base64.b64encode(bytes(sealed)).decode()),
        lambda: lookout.list_dataset_entries(**where, AnomalyClass="normal", NextToken=token),
        lambda: lookout.list_projects(NextToken=token),
    ):
        assert refused(call)["code"] == "ValidationException"


def test_the_same_request_twice_counts_once(registry: Registry, lookout: Any, project: str) -> None:
    trainable(registry, lookout, project)
    token = str(uuid.uuid4())
    request = {"ProjectName": project, "OutputConfig": OUTPUT, "ClientToken": token}
    first = lookout.create_model(**request)["ModelMetadata"]
    report(registry, completed(first["ModelArn"]))
    becomes(lookout, project, "TRAINED")
    assert lookout.create_model(**request)["ModelMetadata"] == first
    error = refused(lambda: lookout.create_model(**{**request, "Description": "other"}))
    assert (error["code"], error["status"], error["type"]) == ("ConflictException", 409, "PROJECT")
    assert len(lookout.list_models(ProjectName=project)["Models"]) == 1

    # A repeated start of what started meanwhile is the same start, not a conflict.
    start = {"ProjectName": project, "ModelVersion": "1", "MinInferenceUnits": 1, "ClientToken": token}
    assert lookout.start_model(**start)["Status"] == lookout.start_model(**start)["Status"] == "STARTING_HOSTING"

    # A token that failed is free, one that is eight hours old counts no more.
    name = f"p-{uuid.uuid4().hex[:8]}"
    once = {"ProjectName": name, "ClientToken": token}
    lookout.create_project(**once)
    lookout.create_project(**once)
    registry.sql("update registry.client_tokens set created_at = now() - interval '8 hours 1 minute'")
    assert refused(lambda: lookout.create_project(**once))["code"] == "ConflictException"


def test_a_failed_request_frees_its_token(lookout: Any, project: str) -> None:
    token = str(uuid.uuid4())
    request = {"ProjectName": project, "DatasetType": "train", "ClientToken": token}
    bad = {**request, "DatasetSource": {"GroundTruthManifest": {"S3Object": {"Bucket": BUCKET, "Key": "no"}}}}
    assert refused(lambda: lookout.create_dataset(**bad))["code"] == "ValidationException"
    assert lookout.create_dataset(**request)["DatasetMetadata"]["Status"] == "CREATE_COMPLETE"


def test_fifty_models_at_once_get_fifty_numbers(registry: Registry, lookout: Any, project: str) -> None:
    trainable(registry, lookout, project)
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: lookout.create_model(ProjectName=project, OutputConfig=OUTPUT), range(50)))
    arns = {answer["ModelMetadata"]["ModelArn"] for answer in answers}
    assert {int(arn.rpartition("/")[2]) for arn in arns} == set(range(1, 51))
    listed = lookout.get_paginator("list_models").paginate(ProjectName=project, PaginationConfig={"PageSize": 9})
    versions = [int(model["ModelVersion"]) for page in listed for model in page["Models"]]
    assert versions == list(range(50, 0, -1))
    assert describe(lookout, project, "latest")["ModelVersion"] == "50"
    for arn in (f"arn:aws:lookoutvision:us-east-1:{ACCOUNT}:model/{project}/{version}" for version in (1, 50)):
        assert len(requests_for(registry, arn)) == 1
    # What they would leave for other tests: trainings under way.
    registry.sql("update registry.model_versions set state = 'TRAINING_FAILED' where state = 'TRAINING'")


def test_the_number_of_trainings_is_limited(registry: Registry) -> None:
    client = registry.client(*registry.add_key("666677778888"))
    client.create_project(ProjectName="busy")
    trainable(registry, client, "busy")
    client.create_model(ProjectName="busy", OutputConfig=OUTPUT)
    limits = registry.settings.limits

    def fill(region: str, first: int, last: int) -> None:
        registry.sql(
            "insert into registry.model_versions (id, arn, project_id, account_id, region, version, state, output, "
            "training_manifest) select gen_random_uuid(), 'filler-' || n, project_id, account_id, %s, 100 + n, "
            "state, output, training_manifest from registry.model_versions, generate_series(%s::int, %s::int) n "
            "where account_id = '666677778888' and version = 1",
            region,
            first,
            last,
        )

    fill("eu-west-1", 1, limits.models - 1)
    error = refused(lambda: client.create_model(ProjectName="busy", OutputConfig=OUTPUT))
    assert (error["code"], error["quota"], error["type"]) == (
        "ServiceQuotaExceededException",
        "models_per_project",
        "PROJECT",
    )
    fill("us-east-1", limits.models, limits.models + limits.trainings - 2)
    client.create_project(ProjectName="other")
    trainable(registry, client, "other")
    error = refused(lambda: client.create_model(ProjectName="other", OutputConfig=OUTPUT))
    assert (error["code"], error["quota"]) == ("ServiceQuotaExceededException", "trainings_per_account")
    registry.sql("delete from registry.model_versions where account_id = '666677778888'")


def test_of_many_conflicting_callers_one_wins(registry: Registry, lookout: Any, project: str) -> None:
    def outcomes(call: Any) -> list[str]:
        def attempt(_: int) -> str:
            try:
                call()
            except ClientError as error:
                return str(error.response["Error"]["Code"])
            return "ok"

        with ThreadPoolExecutor(10) as pool:
            return sorted(pool.map(attempt, range(10)))

    one_wins = ["ConflictException"] * 9 + ["ok"]
    name = f"p-{uuid.uuid4().hex[:8]}"
    assert outcomes(lambda: lookout.create_project(ProjectName=name)) == one_wins
    source = {"GroundTruthManifest": {"S3Object": registry.put(manifest(31, 32))}}
    create = {"ProjectName": project, "DatasetType": "train", "DatasetSource": source}
    assert outcomes(lambda: lookout.create_dataset(**create)) == one_wins
    settled(lookout, project)
    arn = lookout.create_model(ProjectName=project, OutputConfig=OUTPUT)["ModelMetadata"]["ModelArn"]
    report(registry, completed(arn))
    becomes(lookout, project, "TRAINED")
    model = {"ProjectName": project, "ModelVersion": "1"}
    assert outcomes(lambda: lookout.start_model(**model, MinInferenceUnits=1)) == one_wins


def test_entries_that_come_while_pages_are_read(registry: Registry, lookout: Any, project: str) -> None:
    trainable(registry, lookout, project)
    where = {"ProjectName": project, "DatasetType": "train"}
    first = lookout.list_dataset_entries(**where, MaxResults=60)
    lookout.update_dataset_entries(**where, Changes=line("later", False).encode())
    until(lambda: settled(lookout, project)["Status"] == "UPDATE_COMPLETE")
    second = lookout.list_dataset_entries(**where, MaxResults=60, NextToken=first["NextToken"])
    assert len(second["DatasetEntries"]) == 4
    assert not set(first["DatasetEntries"]) & set(second["DatasetEntries"])


@pytest.mark.parametrize("kind", ["train", "test"])
def test_separate_datasets_need_less(registry: Registry, lookout: Any, project: str, kind: str) -> None:
    for each in ("train", "test"):
        normal, anomaly = (10, 0) if each == "train" else (10, 10)
        if each == kind:
            normal -= 1
        source = {"GroundTruthManifest": {"S3Object": registry.put(manifest(normal, anomaly, prefix=each))}}
        lookout.create_dataset(ProjectName=project, DatasetType=each, DatasetSource=source)
        settled(lookout, project, each)
    error = refused(lambda: lookout.create_model(ProjectName=project, OutputConfig=OUTPUT))
    assert "has 9 normal images; at least 10" in error["message"]
    more = line("one-more", False).encode()
    lookout.update_dataset_entries(ProjectName=project, DatasetType=kind, Changes=more)
    settled(lookout, project, kind)
    arn = lookout.create_model(ProjectName=project, OutputConfig=OUTPUT)["ModelMetadata"]["ModelArn"]
    [request] = requests_for(registry, arn)
    assert request.test_manifest is not None
    assert len(registry.opened(request.test_manifest.bucket, request.test_manifest.key).splitlines()) == 20


def test_a_dataset_that_changes_while_it_is_read_is_not_trained_on(
    registry: Registry, lookout: Any, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainable(registry, lookout, project)
    write = snapshots.write

    async def slow_write(*args: Any) -> Any:
        ref = await write(*args)
        registry.sql("update registry.datasets set updated_at = now() where id = %s", args[-1])
        return ref

    monkeypatch.setattr(snapshots, "write", slow_write)
    error = refused(lambda: lookout.create_model(ProjectName=project, OutputConfig=OUTPUT))
    assert (error["code"], error["type"]) == ("ConflictException", "DATASET")
    assert lookout.list_models(ProjectName=project)["Models"] == []


def test_a_training_that_takes_too_long_has_failed(registry: Registry, lookout: Any, project: str) -> None:
    trainable(registry, lookout, project)
    for _ in range(2):
        lookout.create_model(ProjectName=project, OutputConfig=OUTPUT)

    def ago(version: str, hours: int) -> None:
        registry.sql(
            "update registry.model_versions m set created_at = now() - make_interval(hours => %s) "
            "from registry.projects p where p.id = m.project_id and p.name = %s and m.version = %s",
            hours,
            project,
            int(version),
        )

    quotas = registry.settings.quotas
    ago("1", quotas.training_hours + quotas.testing_hours - 1)
    ago("2", quotas.training_hours + quotas.testing_hours + 1)
    assert registry.run(lambda deps: trainings.fail_overdue(deps.database, quotas)) == 1
    assert describe(lookout, project, "1")["Status"] == "TRAINING"
    failed = describe(lookout, project, "2")
    assert failed["Status"] == "TRAINING_FAILED"
    assert "longer than allowed" in failed["StatusMessage"]
    shorter = quotas.model_copy(update={"training_hours": 1})
    assert registry.run(lambda deps: trainings.fail_overdue(deps.database, shorter)) == 1
