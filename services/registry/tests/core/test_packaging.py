"""Packaging jobs: a trained version becomes a whole component, or nothing, and says which."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import re
import uuid
import zipfile
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from vigia_contracts.training import OutputLocation
from vigia_registry.bootstrap import Deps
from vigia_registry.identity.domain import Owner
from vigia_registry.jobs import tasks
from vigia_registry.objects import asked_rights
from vigia_registry.packaging import job as jobs
from vigia_registry.packaging import service
from vigia_registry.packaging.compiler import options_of
from vigia_registry.packaging.domain import (
    Accelerator,
    Arch,
    Configuration,
    Device,
    Os,
    PackagingRequest,
    Platform,
)
from vigia_registry.packaging.errors import BadCompilerOptions, BadTarget
from vigia_registry.projects import service as projects
from vigia_runtime.errors import Transient
from vigia_runtime.objects import MOST_KEY_BYTES, ObjectStore
from vigia_vision import Artifact

from .commands import aws
from .conftest import ACCOUNT, BUCKET, REGION, Registry, until
from .test_errors import refused
from .test_lifecycle import OUTPUT, describe, gone, trainable
from .versions import artifact, trained

NVIDIA = '{"gpu-code": "sm_75", "trt-ver": "7.1.3", "cuda-ver": "10.2"}'
PLATFORM = {"Os": "LINUX", "Arch": "X86_64", "Accelerator": "NVIDIA"}


def greengrass(component: str, **more: Any) -> dict[str, Any]:
    """A configuration for a processor, unless ``more`` says otherwise; members that are None are left out."""
    given = {
        "TargetPlatform": {"Os": "LINUX", "Arch": "X86_64"},
        "S3OutputLocation": {"Bucket": BUCKET, "Prefix": "edge"},
        "ComponentName": component,
        **more,
    }
    return {"Greengrass": {name: value for name, value in given.items() if value is not None}}


def done(lookout: Any, project: str, job: str) -> dict[str, Any]:
    """The job's description once it has ended."""

    def look() -> dict[str, Any] | None:
        answer = lookout.describe_model_packaging_job(ProjectName=project, JobName=job)
        found: dict[str, Any] = answer["ModelPackagingDescription"]
        assert found["StatusMessage"]
        return found if found["Status"] in ("SUCCEEDED", "FAILED") else None

    return until(look)


def files(registry: Registry, prefix: str) -> dict[str, bytes]:
    """Every object below a prefix of the customer's bucket, by what follows the prefix."""
    found = registry.s3().list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
    return {
        entry["Key"].removeprefix(prefix): registry.s3().get_object(Bucket=BUCKET, Key=entry["Key"])["Body"].read()
        for entry in found
    }


def written(registry: Registry, component: str, version: str, prefix: str = "edge") -> dict[str, bytes]:
    """The files of a component, by their names."""
    found = files(registry, f"{prefix}/{component}/{version}/")
    assert len({key.partition("/")[0] for key in found}) <= 1
    return {key.partition("/")[2]: content for key, content in found.items()}


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
    trained(registry, project, 3)
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
    assert json.loads(found["recipe.json"])["ComponentDescription"]
    assert json.loads(found["tags.json"]) == {}


X86, ARM = Arch.X86_64, Arch.ARM64


def options(
    text: str | None, arch: Arch | None, accelerator: Accelerator | None = Accelerator.NVIDIA
) -> dict[str, str]:
    """What is compiled with, for a platform, or for a device where ``arch`` is None."""
    return options_of(
        Configuration(
            device=Device.JETSON_XAVIER if arch is None else None,
            platform=None if arch is None else Platform(os=Os.LINUX, arch=arch, accelerator=accelerator),
            compiler_options=text,
            output=OutputLocation(bucket="bucket", prefix=""),
            component_name="c",
        )
    )


def nvidia(code: str, tensorrt: str, cuda: str) -> str:
    return json.dumps({"gpu-code": code, "trt-ver": tensorrt, "cuda-ver": cuda})


@pytest.mark.parametrize(
    ("text", "arch", "accelerator"),
    [
        # The guide's table of tested devices.
        (nvidia("sm_72", "7.1.3", "10.2"), ARM, Accelerator.NVIDIA),
        (nvidia("sm_72", "8.2.1", "10.2"), ARM, Accelerator.NVIDIA),
        (nvidia("sm_75", "7.1.3", "10.2"), X86, Accelerator.NVIDIA),
        (nvidia("sm_80", "8.2.0", "11.2"), X86, Accelerator.NVIDIA),
        ('{"mcpu": "core-avx2"}', X86, None),
        # At the borders, and beyond what the guide knows.
        (nvidia("sm_61", "7.2.3", "10.2"), X86, Accelerator.NVIDIA),
        (nvidia("sm_90", "10.0.1", "12.4"), X86, Accelerator.NVIDIA),
        ('{"mcpu": "skylake-avx512"}', X86, None),
        ('{"mcpu": "cortex-a72"}', ARM, None),
    ],
)
def test_compiler_options_that_are_right(text: str, arch: Arch, accelerator: Accelerator | None) -> None:
    assert options(text, arch, accelerator) == json.loads(text)


def test_compiler_options_have_defaults_where_there_is_one() -> None:
    assert options(None, X86, None) == options("{ }", X86, None) == {"mcpu": "core-avx2"}
    assert options(None, ARM, None) == {}
    assert options(None, None) == {}


@pytest.mark.parametrize(
    ("text", "arch", "accelerator", "problem"),
    [
        ("not json", X86, None, "JSON object"),
        ("[1]", X86, None, "JSON object"),
        ('{"mcpu": 2}', X86, None, "strings"),
        ("[" * 1024, X86, None, "JSON object"),
        ('{"mcpu": "a b"}', X86, None, "mcpu must be"),
        ('{"gpu-code": "sm_75"}', X86, None, "gpu-code is unknown"),
        ('{"mcpu": "core-avx2"}', X86, Accelerator.NVIDIA, "mcpu is unknown"),
        (None, X86, Accelerator.NVIDIA, "NVIDIA needs gpu-code, trt-ver, cuda-ver"),
        ('{"gpu-code": "sm_75", "cuda-ver": "10.2"}', X86, Accelerator.NVIDIA, "NVIDIA needs trt-ver"),
        (nvidia("75", "7.1.3", "10.2"), X86, Accelerator.NVIDIA, "gpu-code must be"),
        (nvidia("sm_75", "7.1", "10.2"), X86, Accelerator.NVIDIA, "trt-ver must be"),
        (nvidia("sm_75", "7.1.3", "10.2.1"), X86, Accelerator.NVIDIA, "cuda-ver must be"),
        (nvidia("sm_75", "7.1.2", "10.2"), X86, Accelerator.NVIDIA, "at least 7.1.3"),
        (nvidia("sm_75", "8.0.0", "10.2"), X86, Accelerator.NVIDIA, "less than 8.0.0"),
        (nvidia("sm_75", "7.1.3", "11.2"), X86, Accelerator.NVIDIA, "cuda-ver 10.2"),
        (nvidia("sm_80", "7.1.3", "10.2"), X86, Accelerator.NVIDIA, "sm_80 goes with cuda-ver 11.2"),
        (nvidia("sm_80", "8.2.1", "11.2"), X86, Accelerator.NVIDIA, "trt-ver 8.2.0"),
        (nvidia("sm_72", "7.1.3", "10.2"), None, None, "none may be given"),
    ],
)
def test_compiler_options_that_are_wrong(
    text: str | None, arch: Arch | None, accelerator: Accelerator | None, problem: str
) -> None:
    with pytest.raises(BadCompilerOptions, match=re.escape(problem)):
        options(text, arch, accelerator)


def test_a_target_is_one_device_or_one_platform() -> None:
    both: dict[str, Any] = {"output": OutputLocation(bucket="bucket", prefix=""), "component_name": "c"}
    with pytest.raises(BadTarget, match="both"):
        options_of(Configuration(device=Device.JETSON_XAVIER, platform=Platform(os=Os.LINUX, arch=Arch.ARM64), **both))
    with pytest.raises(BadTarget, match="Neither"):
        options_of(Configuration(**both))


@pytest.mark.parametrize(
    "parameters",
    [
        {"ModelVersion": None},
        {"ModelVersion": "0"},
        {"JobName": "under_score"},
        {"JobName": "j" * 65},
        {"Description": "a/b"},
        {"Description": "d" * 257},
        {"Configuration": None},
        {"Configuration": {}},
        {"Configuration": greengrass("name with blank")},
        {"Configuration": greengrass("c" * 129)},
        {"Configuration": greengrass("c", ComponentVersion="1.0")},
        {"Configuration": greengrass("c", ComponentVersion="1.0.1000000")},
        {"Configuration": greengrass("c", ComponentDescription="a/b")},
        {"Configuration": greengrass("c", S3OutputLocation=None)},
        {"Configuration": greengrass("c", S3OutputLocation={"Bucket": "ab"})},
        {"Configuration": greengrass("c", S3OutputLocation={"Bucket": BUCKET, "Prefix": "/x"})},
        {"Configuration": greengrass("c", S3OutputLocation={"Bucket": BUCKET, "Prefix": "x" * 990})},
        {"Configuration": greengrass("c", S3OutputLocation={"Bucket": BUCKET, "Prefix": "a//b"})},
        {"Configuration": greengrass("c", S3OutputLocation={"Bucket": BUCKET, "Prefix": "a/../b"})},
        {"Configuration": greengrass("c", S3OutputLocation={"Bucket": "vigia-artifacts"})},
        {"Configuration": greengrass("..")},
        {"Configuration": greengrass("c", S3OutputLocation={"Bucket": "nobody-has-this-bucket"})},
        {"Configuration": greengrass("c", TargetPlatform=None)},
        {"Configuration": greengrass("c", TargetDevice="jetson_xavier")},
        {"Configuration": greengrass("c", TargetPlatform=None, TargetDevice="jetson_nano")},
        {"Configuration": greengrass("c", TargetPlatform=None, TargetDevice="jetson_xavier", CompilerOptions=NVIDIA)},
        {"Configuration": greengrass("c", TargetPlatform={"Os": "LINUX"})},
        {"Configuration": greengrass("c", TargetPlatform={"Os": "WINDOWS", "Arch": "X86_64"})},
        {"Configuration": greengrass("c", TargetPlatform={"Os": "LINUX", "Arch": "X86_64", "Accelerator": "CPU"})},
        {"Configuration": greengrass("c", TargetPlatform=PLATFORM)},
        {"Configuration": greengrass("c", CompilerOptions="{}")},
        {"Configuration": greengrass("c", CompilerOptions="{" + " " * 1024 + "}")},
        {"Configuration": greengrass("c", CompilerOptions=NVIDIA)},
        {"Configuration": greengrass("c", Tags=[{"Key": "a"}])},
        {"Configuration": greengrass("c", Tags=[{"Key": "aws:a", "Value": ""}])},
    ],
    ids=range(35),
)
def test_what_breaks_a_constraint_is_a_validation_exception(
    lookout: Any, project: str, arn: str, component: str, parameters: dict[str, Any]
) -> None:
    request = {
        "ProjectName": project,
        "ModelVersion": "1",
        "Configuration": greengrass(component),
        **parameters,
    }
    given = {name: value for name, value in request.items() if value is not None}
    error = refused(lambda: lookout.start_model_packaging_job(**given))
    assert (error["code"], error["status"]) == ("ValidationException", 400)
    assert len(error["message"]) < 1000
    assert lookout.list_model_packaging_jobs(ProjectName=project)["ModelPackagingJobs"] == []


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


def test_a_version_is_not_deleted_while_it_is_packaged(
    registry: Registry, lookout: Any, project: str, arn: str, component: str
) -> None:
    job = lookout.start_model_packaging_job(ProjectName=project, ModelVersion="1", Configuration=greengrass(component))[
        "JobName"
    ]
    done(lookout, project, job)
    for state in ("CREATED", "RUNNING"):
        registry.sql("update registry.packaging_jobs set state = %s where component_name = %s", state, component)
        error = refused(lambda: lookout.delete_model(ProjectName=project, ModelVersion="1"))
        assert (error["code"], error["type"], error["id"]) == ("ConflictException", "MODEL", f"{project}/1")
        assert job in error["message"]
    registry.sql("update registry.packaging_jobs set state = 'SUCCEEDED' where component_name = %s", component)
    lookout.delete_model(ProjectName=project, ModelVersion="1")
    gone(lambda: describe(lookout, project))
    # What was made stays, and so does the job, until the project goes.
    assert done(lookout, project, job)["ModelVersion"] == "1"
    assert "recipe.json" in written(registry, component, "1.0.0")
    lookout.delete_project(ProjectName=project)
    gone(lambda: lookout.describe_project(ProjectName=project))
    assert registry.sql("select * from registry.packaging_jobs where component_name = %s", component) == []
    assert "recipe.json" in written(registry, component, "1.0.0")


def asked(alone: Registry, component: str) -> uuid.UUID:
    """A job asked for while no worker runs."""
    name, owner = f"p-{uuid.uuid4().hex[:12]}", Owner(ACCOUNT, REGION)
    configuration = Configuration(
        device=Device.JETSON_XAVIER,
        output=OutputLocation(bucket=BUCKET, prefix="edge/"),
        component_name=component,
    )

    async def project(deps: Deps) -> None:
        async with deps.database.transaction() as session:
            await projects.create(session, owner, name, 1000)

    async def job(deps: Deps) -> uuid.UUID:
        async with deps.database.transaction() as session:
            request = PackagingRequest(configuration=configuration)
            made = await service.start(
                session,
                deps.objects,
                deps.settings.buckets,
                deps.settings.limits,
                owner,
                name,
                1,
                request,
                asked_rights(deps.settings.buckets, None),
            )
        return made.id

    alone.run(project)
    trained(alone, name)
    return alone.run(job)


def state(alone: Registry, job: uuid.UUID) -> str:
    [(found,)] = alone.sql("select state from registry.packaging_jobs where id = %s", job)
    return str(found)


class Killed(BaseException):
    """The worker dies at this moment: nothing of its own runs any more."""


@pytest.mark.parametrize("write", range(4))
def test_a_worker_that_dies_leaves_no_component_and_another_makes_it_whole(
    alone: Registry, component: str, monkeypatch: pytest.MonkeyPatch, write: int
) -> None:
    job = asked(alone, component)
    put, count = ObjectStore.put, 0

    async def dying(self: ObjectStore, *args: Any, **more: Any) -> Any:
        nonlocal count
        ref = await put(self, *args, **more)
        count += 1
        if count == write + 1:
            raise Killed
        return ref

    with monkeypatch.context() as patch:
        patch.setattr(ObjectStore, "put", dying)
        with pytest.raises(Killed):
            alone.run(lambda deps: jobs.package(deps.database, deps.objects, job))
    assert state(alone, job) == "RUNNING"
    left = written(alone, component, "1.0.0")
    # The recipe comes last: where it is, everything is.
    whole = {"model.zip", "settings.json", "tags.json", "recipe.json"}
    assert "recipe.json" not in left or set(left) == whole

    alone.run(lambda deps: jobs.package(deps.database, deps.objects, job))
    assert state(alone, job) == "SUCCEEDED"
    made = written(alone, component, "1.0.0")
    assert set(made) == whole
    assert all(made[name] == content for name, content in left.items())
    # Once more changes nothing.
    alone.run(lambda deps: jobs.package(deps.database, deps.objects, job))
    assert written(alone, component, "1.0.0") == made


def test_what_cannot_be_written_fails_and_leaves_nothing(
    alone: Registry, component: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store refuses the recipe at every attempt: after the last one the job has failed, and says so."""
    job = asked(alone, component)
    put = ObjectStore.put

    async def failing(self: ObjectStore, bucket: str, key: str, *args: Any, **more: Any) -> Any:
        if key.endswith("recipe.json"):
            raise Transient("object store: away")
        return await put(self, bucket, key, *args, **more)

    monkeypatch.setattr(ObjectStore, "put", failing)

    def attempt(number: int) -> None:
        async def run(deps: Deps) -> None:
            context: Any = SimpleNamespace(job=SimpleNamespace(attempts=number), additional_context={tasks.DEPS: deps})
            await tasks._package_model(context, str(job))

        with pytest.raises(Transient):
            alone.run(run)

    attempt(0)
    assert state(alone, job) == "RUNNING"
    attempt(5)
    assert state(alone, job) == "FAILED"
    assert written(alone, component, "1.0.0") == {}


def test_a_job_that_kills_its_workers_is_given_up(alone: Registry, component: str) -> None:
    job = asked(alone, component)

    async def run(deps: Deps) -> None:
        context: Any = SimpleNamespace(job=SimpleNamespace(attempts=6), additional_context={tasks.DEPS: deps})
        await tasks._package_model(context, str(job))

    alone.run(run)
    assert state(alone, job) == "FAILED"
    assert written(alone, component, "1.0.0") == {}


def test_a_key_is_as_long_as_the_store_takes_it(registry: Registry, lookout: Any, project: str, arn: str) -> None:
    """One byte more is refused when the job is asked for, not when it writes."""
    component = f"c{uuid.uuid4().hex[:8]}"
    longest = MOST_KEY_BYTES - len(f"/{component}/1.0.0/{uuid.uuid4()}/settings.json")

    def start(length: int) -> str:
        prefix = "/".join(["p" * 200] * 6)[: length - 1] + "p"
        place = {"Bucket": BUCKET, "Prefix": prefix}
        configuration = greengrass(component, S3OutputLocation=place, ComponentVersion="1.0.0")
        answer = lookout.start_model_packaging_job(ProjectName=project, ModelVersion="1", Configuration=configuration)
        return str(answer["JobName"])

    assert refused(lambda: start(longest + 1))["code"] == "ValidationException"
    assert done(lookout, project, start(longest))["Status"] == "SUCCEEDED"


@pytest.mark.parametrize("written_last", ["model.zip", "tags.json"])
def test_a_job_given_up_meanwhile_gets_no_recipe(
    alone: Registry, component: str, monkeypatch: pytest.MonkeyPatch, written_last: str
) -> None:
    """A worker believed dead goes on after another one has failed the job."""
    job = asked(alone, component)
    put = ObjectStore.put

    async def slow(self: ObjectStore, bucket: str, key: str, *args: Any, **more: Any) -> Any:
        ref = await put(self, bucket, key, *args, **more)
        if key.endswith(written_last):
            await asyncio.to_thread(alone.run, lambda deps: jobs.fail(deps.database, deps.objects, job, "given up"))
        return ref

    monkeypatch.setattr(ObjectStore, "put", slow)
    alone.run(lambda deps: jobs.package(deps.database, deps.objects, job))
    assert state(alone, job) == "FAILED"
    assert written(alone, component, "1.0.0") == {}


def test_a_bucket_that_vanished_is_named(alone: Registry, component: str) -> None:
    job = asked(alone, component)
    alone.sql(
        "update registry.packaging_jobs set configuration = jsonb_set(configuration, '{output,bucket}', "
        "'\"nobody-has-this-bucket\"') where id = %s",
        job,
    )
    alone.run(lambda deps: jobs.package(deps.database, deps.objects, job))
    [(found, message)] = alone.sql("select state, status_message from registry.packaging_jobs where id = %s", job)
    assert found == "FAILED"
    assert "nobody-has-this-bucket" in message
