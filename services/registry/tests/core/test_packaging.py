"""Packaging jobs: a trained version becomes a whole component, or nothing, and says which."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import uuid
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from vigia_vision import Artifact

from .commands import aws
from .components import NVIDIA, PLATFORM, done, files, greengrass, written
from .conftest import ACCOUNT, BUCKET, REGION, Registry
from .test_errors import refused
from .test_lifecycle import OUTPUT, trainable
from .versions import artifact, decided_by, trained


@pytest.fixture
def component() -> str:
    return f"com.example.{uuid.uuid4().hex[:12]}"


@pytest.fixture
def arn(registry: Registry, project: str) -> str:
    """The ARN of a trained version."""
    return trained(registry, project)


def test_a_version_becomes_a_component(
    registry: Registry, lookout: Any, project: str, arn: str, component: str
) -> None:
    configuration = greengrass(
        component,
        TargetPlatform=PLATFORM,
        CompilerOptions=NVIDIA,
        ComponentVersion="0.1.0",
        ComponentDescription="This is my component",
        Tags=[{"Key": "modelKey0", "Value": "modelValue"}, {"Key": "modelKey1", "Value": ""}],
    )
    answer = lookout.start_model_packaging_job(
        ProjectName=project, ModelVersion="1", Configuration=configuration, Description="For the oven's end (line 2)"
    )
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    name = answer["JobName"]
    assert str(uuid.UUID(name)) == name
    job = done(lookout, project, name)
    assert job["Status"] == "SUCCEEDED", job["StatusMessage"]
    assert (job["JobName"], job["ProjectName"], job["ModelVersion"]) == (name, project, "1")
    assert job["ModelPackagingJobDescription"] == "For the oven's end (line 2)"
    assert job["ModelPackagingMethod"]
    assert job["ModelPackagingConfiguration"] == configuration
    assert job["ModelPackagingOutputDetails"]["Greengrass"] == {
        "ComponentVersionArn": f"arn:aws:greengrass:{REGION}:{ACCOUNT}:components:{component}:versions:0.1.0",
        "ComponentName": component,
        "ComponentVersion": "0.1.0",
    }
    assert job["CreationTimestamp"] <= job["LastUpdatedTimestamp"]
    [listed] = lookout.list_model_packaging_jobs(ProjectName=project)["ModelPackagingJobs"]
    assert listed == {key: value for key, value in job.items() if key in listed}
    assert set(job) - set(listed) == {"ModelPackagingConfiguration", "ModelPackagingOutputDetails"}

    found = written(registry, component, "0.1.0")
    assert set(found) == {"model.zip", "settings.json", "tags.json", "recipe.json"}
    recipe = json.loads(found["recipe.json"])
    # The message says where the recipe is, and the recipe where the rest.
    place = re.search(r"s3://([^/]+)/(.*/)recipe\.json", job["StatusMessage"])
    assert place is not None
    assert registry.s3().head_object(Bucket=place[1], Key=f"{place[2]}recipe.json")
    assert recipe["RecipeFormatVersion"] == "2020-01-25"
    assert (recipe["ComponentName"], recipe["ComponentVersion"]) == (component, "0.1.0")
    assert recipe["ComponentType"] == "aws.greengrass.generic"
    assert recipe["ComponentDescription"] == "This is my component"
    assert recipe["ComponentPublisher"]
    assert recipe["ComponentDependencies"] == {
        "aws.iot.lookoutvision.EdgeAgent": {"VersionRequirement": ">=1.0.0 <2.0.0", "DependencyType": "HARD"}
    }
    [manifest] = recipe["Manifests"]
    assert manifest["Platform"] == {"os": "linux", "architecture": "amd64"}
    uris = {entry["Uri"]: entry for entry in manifest["Artifacts"]}
    assert set(uris) == {f"s3://{BUCKET}/{place[2]}{file}" for file in ("model.zip", "settings.json")}
    for uri, entry in uris.items():
        content = found[uri.rpartition("/")[2]]
        assert (entry["Algorithm"], base64.b64decode(entry["Digest"])) == ("SHA-256", hashlib.sha256(content).digest())
    assert uris[f"s3://{BUCKET}/{place[2]}model.zip"]["Unarchive"] == "ZIP"

    settings = json.loads(found["settings.json"])
    assert recipe["ComponentConfiguration"]["DefaultConfiguration"] == settings
    made = artifact(arn)
    assert settings["ModelArn"] == arn
    assert settings["ModelComponent"] == component
    assert settings["TargetPlatform"] == {"os": "LINUX", "arch": "X86_64", "accelerator": "NVIDIA"}
    assert "TargetDevice" not in settings
    assert settings["CompilerOptions"] == json.loads(NVIDIA)
    assert (settings["Input"]["Width"], settings["Input"]["Height"]) == (640, 480)
    assert settings["Threshold"] == 0.375
    assert settings["ArtifactDigest"] == made.digest
    assert json.loads(found["tags.json"]) == {"modelKey0": "modelValue", "modelKey1": ""}
    # Unpacked, the archive is the artifact, byte for byte.
    with zipfile.ZipFile(io.BytesIO(found["model.zip"])) as archive:
        assert Artifact.load({name: archive.read(name) for name in archive.namelist()}) == made
    # The component's tags are not the model's.
    assert lookout.list_tags_for_resource(ResourceArn=arn)["Tags"] == []


def test_the_command_line_packages_as_the_guide_shows(
    registry: Registry, lookout: Any, project: str, arn: str, component: str
) -> None:
    where = f"S3OutputLocation={{Bucket='{BUCKET}',Prefix='{project}/folder'}}"
    tags = "Tags=[{Key='modelKey0',Value='modelValue'},{Key='modelKey1',Value='modelValue'}]"
    start = ["start-model-packaging-job", "--project-name", project, "--model-version", "1"]
    platform, device = aws(
        registry,
        [
            *start,
            "--description=Model Packaging Job for G4 Instance using TargetPlatform Option",
            "--configuration",
            "Greengrass={TargetPlatform={Os='LINUX',Arch='X86_64',Accelerator='NVIDIA'},"
            f"CompilerOptions='{NVIDIA}',{where},ComponentName='{component}',ComponentVersion='0.1.0',"
            f"ComponentDescription='This is my component',{tags}}}",
        ],
        [
            *start,
            "--description=description",
            "--configuration",
            f"Greengrass={{TargetDevice='jetson_xavier',{where},ComponentName='{component}.jetson',"
            f"ComponentVersion='1.0.0',ComponentDescription='model component',{tags}}}",
        ],
    )
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", platform["JobName"])
    for job in (platform["JobName"], device["JobName"]):
        assert done(lookout, project, job)["Status"] == "SUCCEEDED"
    described, listed = aws(
        registry,
        ["describe-model-packaging-job", "--project-name", project, "--job-name", device["JobName"]],
        ["list-model-packaging-jobs", "--project-name", project],
    )
    assert described["ModelPackagingDescription"]["Status"] == "SUCCEEDED"
    names = [job["JobName"] for job in listed["ModelPackagingJobs"]]
    assert names == [device["JobName"], platform["JobName"]]

    found = written(registry, component, "0.1.0", f"{project}/folder")
    assert json.loads(found["settings.json"])["CompilerOptions"] == json.loads(NVIDIA)
    found = written(registry, f"{component}.jetson", "1.0.0", f"{project}/folder")
    [manifest] = json.loads(found["recipe.json"])["Manifests"]
    assert manifest["Platform"] == {"os": "linux", "architecture": "aarch64"}
    settings = json.loads(found["settings.json"])
    assert (settings["TargetDevice"], settings["CompilerOptions"]) == ("jetson_xavier", {})


def test_what_is_left_out_has_its_default(registry: Registry, lookout: Any, project: str, component: str) -> None:
    decided_by(registry, trained(registry, project, 3), 0.8)
    configuration = greengrass(component, S3OutputLocation={"Bucket": BUCKET})
    job = lookout.start_model_packaging_job(
        ProjectName=project, ModelVersion="latest", JobName="by-name", Configuration=configuration
    )
    assert job["JobName"] == "by-name"
    ended = done(lookout, project, "by-name")
    assert (ended["Status"], ended["ModelVersion"]) == ("SUCCEEDED", "3")
    assert ended["ModelPackagingOutputDetails"]["Greengrass"]["ComponentVersion"] == "3.0.0"
    assert "ModelPackagingJobDescription" not in ended
    found = {key.rpartition("/")[2]: content for key, content in files(registry, f"{component}/3.0.0/").items()}
    assert json.loads(found["settings.json"])["CompilerOptions"] == {"mcpu": "core-avx2"}
    # A component decides as the version does at the plant.
    assert json.loads(found["settings.json"])["Threshold"] == 0.8
    assert json.loads(found["recipe.json"])["ComponentDescription"]
    assert json.loads(found["tags.json"]) == {}


def test_missing_things_are_not_found(lookout: Any, project: str, component: str) -> None:
    start = {"ModelVersion": "1", "Configuration": greengrass(component)}
    for call in (
        lambda: lookout.start_model_packaging_job(ProjectName="nobody", **start),
        lambda: lookout.list_model_packaging_jobs(ProjectName="nobody"),
        lambda: lookout.describe_model_packaging_job(ProjectName="nobody", JobName="j"),
    ):
        error = refused(call)
        assert (error["code"], error["type"]) == ("ResourceNotFoundException", "PROJECT")
    error = refused(lambda: lookout.start_model_packaging_job(ProjectName=project, **start))
    assert (error["code"], error["type"]) == ("ResourceNotFoundException", "MODEL")
    error = refused(lambda: lookout.describe_model_packaging_job(ProjectName=project, JobName="j"))
    assert (error["code"], error["status"]) == ("ResourceNotFoundException", 404)
    assert (error["type"], error["id"]) == ("MODEL_PACKAGE_JOB", f"{project}/j")


def test_only_what_was_trained_can_be_packaged(registry: Registry, lookout: Any, project: str, component: str) -> None:
    trainable(registry, lookout, project)
    arn = lookout.create_model(ProjectName=project, OutputConfig=OUTPUT)["ModelMetadata"]["ModelArn"]
    start = {"ProjectName": project, "Configuration": greengrass(component)}
    for state in ("TRAINING", "TRAINING_FAILED", "DELETING"):
        registry.sql("update registry.model_versions set state = %s where arn = %s", state, arn)
        error = refused(lambda: lookout.start_model_packaging_job(ModelVersion="1", **start))
        assert (error["code"], error["type"], error["id"]) == ("ConflictException", "MODEL", f"{project}/1")
        assert state in error["message"]
    # A version that is hosted was trained.
    trained(registry, project, 2)
    lookout.start_model(ProjectName=project, ModelVersion="2", MinInferenceUnits=1)
    job = lookout.start_model_packaging_job(ModelVersion="2", **start)["JobName"]
    assert done(lookout, project, job)["Status"] == "SUCCEEDED"


def test_names_and_components_are_there_once(
    registry: Registry, lookout: Any, project: str, arn: str, component: str
) -> None:
    start = {"ProjectName": project, "ModelVersion": "1", "Configuration": greengrass(component)}
    lookout.start_model_packaging_job(JobName="first", **start)
    error = refused(lambda: lookout.start_model_packaging_job(JobName="second", **start))
    assert (error["code"], error["status"], error["type"]) == ("ConflictException", 409, "MODEL_PACKAGE_JOB")
    assert f"Version 1.0.0 of component {component}" in error["message"]
    assert done(lookout, project, "first")["Status"] == "SUCCEEDED"
    assert refused(lambda: lookout.start_model_packaging_job(JobName="second", **start))["code"] == "ConflictException"
    other = {**start, "Configuration": greengrass(component, ComponentVersion="1.0.1")}
    error = refused(lambda: lookout.start_model_packaging_job(JobName="first", **other))
    assert (error["code"], error["id"]) == ("ConflictException", f"{project}/first")
    # What failed made no component.
    registry.sql(
        "update registry.packaging_jobs set state = 'FAILED' where name = 'first' and component_name = %s", component
    )
    lookout.start_model_packaging_job(JobName="second", **start)
    assert done(lookout, project, "second")["Status"] == "SUCCEEDED"


def test_of_many_callers_one_makes_the_component(lookout: Any, project: str, arn: str, component: str) -> None:
    def attempt(_: int) -> str:
        try:
            lookout.start_model_packaging_job(
                ProjectName=project, ModelVersion="1", Configuration=greengrass(component)
            )
        except lookout.exceptions.ConflictException:
            return "conflict"
        return "ok"

    with ThreadPoolExecutor(10) as pool:
        assert sorted(pool.map(attempt, range(10))) == ["conflict"] * 9 + ["ok"]


def test_the_same_request_twice_counts_once(lookout: Any, project: str, arn: str, component: str) -> None:
    request = {
        "ProjectName": project,
        "ModelVersion": "1",
        "Configuration": greengrass(component),
        "ClientToken": str(uuid.uuid4()),
    }
    job = lookout.start_model_packaging_job(**request)["JobName"]
    assert lookout.start_model_packaging_job(**request)["JobName"] == job
    error = refused(lambda: lookout.start_model_packaging_job(**request, Description="other"))
    assert (error["code"], error["type"]) == ("ConflictException", "MODEL_PACKAGE_JOB")
    assert len(lookout.list_model_packaging_jobs(ProjectName=project)["ModelPackagingJobs"]) == 1


def test_pages_of_jobs(lookout: Any, project: str, arn: str, component: str) -> None:
    names = [f"job-{n}" for n in range(5)]
    for name in names:
        configuration = greengrass(component, ComponentVersion=f"1.0.{name[-1]}")
        lookout.start_model_packaging_job(
            ProjectName=project, ModelVersion="1", JobName=name, Configuration=configuration
        )
    first = lookout.list_model_packaging_jobs(ProjectName=project, MaxResults=2)
    pages = lookout.get_paginator("list_model_packaging_jobs").paginate(
        ProjectName=project, PaginationConfig={"PageSize": 2, "StartingToken": first["NextToken"]}
    )
    found = [*first["ModelPackagingJobs"], *(job for page in pages for job in page["ModelPackagingJobs"])]
    assert [job["JobName"] for job in found] == names[::-1]
    assert refused(lambda: lookout.list_projects(NextToken=first["NextToken"]))["code"] == "ValidationException"


def test_the_number_of_jobs_is_limited(
    registry: Registry, lookout: Any, project: str, arn: str, component: str
) -> None:
    limits = registry.settings.limits
    fill = (
        "insert into registry.packaging_jobs (id, project_id, account_id, region, name, model_version, configuration, "
        "component_name, component_version, state) select gen_random_uuid(), p.id, p.account_id, p.region, "
        "'filler-' || n, 1, '{}', 'filler-' || p.name, n::text, %s from registry.projects p, generate_series(1, %s) n "
        "where p.name = %s"
    )
    start = {"ProjectName": project, "ModelVersion": "1", "Configuration": greengrass(component)}
    registry.sql(fill, "RUNNING", limits.packagings, project)
    error = refused(lambda: lookout.start_model_packaging_job(**start))
    registry.sql("delete from registry.packaging_jobs where name like 'filler-%%' and state = %s", "RUNNING")
    assert (error["code"], error["quota"]) == ("ServiceQuotaExceededException", "packagings_per_account")
    registry.sql(fill, "FAILED", limits.packaging_jobs, project)
    error = refused(lambda: lookout.start_model_packaging_job(**start))
    assert (error["code"], error["quota"]) == ("ServiceQuotaExceededException", "packaging_jobs_per_project")


def test_an_artifact_that_was_changed_is_not_packaged(
    registry: Registry, lookout: Any, project: str, arn: str, component: str
) -> None:
    bucket, prefix = registry.settings.buckets.artifacts, f"{ACCOUNT}/{REGION}/{project}/1/"
    keys = [entry["Key"] for entry in registry.s3().list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]]
    [model] = [key for key in keys if key.endswith("model.onnx")]
    registry.s3().put_object(Bucket=bucket, Key=model, Body=b"something else")
    job = lookout.start_model_packaging_job(ProjectName=project, ModelVersion="1", Configuration=greengrass(component))[
        "JobName"
    ]
    ended = done(lookout, project, job)
    assert ended["Status"] == "FAILED"
    assert "model.onnx" in ended["StatusMessage"]
    assert "ModelPackagingOutputDetails" not in ended
    assert written(registry, component, "1.0.0") == {}
