"""Which targets and compiler options a component may be made for."""

from __future__ import annotations

import json
import re
import uuid
from typing import Any

import pytest

from vigia_contracts.training import OutputLocation
from vigia_registry.packaging.compiler import options_of
from vigia_registry.packaging.domain import Accelerator, Arch, Configuration, Device, Os, Platform
from vigia_registry.packaging.errors import BadCompilerOptions, BadTarget

from .components import NVIDIA, PLATFORM, greengrass
from .conftest import BUCKET, Registry
from .test_errors import refused
from .versions import trained


@pytest.fixture
def component() -> str:
    return f"com.example.{uuid.uuid4().hex[:12]}"


@pytest.fixture
def arn(registry: Registry, project: str) -> str:
    """The ARN of a trained version."""
    return trained(registry, project)


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
