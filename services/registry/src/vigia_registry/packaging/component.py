"""The component that a job makes: an archive of the model artifact, settings, tags, and the recipe that names them.

The same version and configuration always give the same bytes, so a job that starts again writes what it wrote before.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from vigia_registry.packaging import compiler
from vigia_registry.packaging.domain import Arch, Os, PackagingJob
from vigia_vision import Artifact

#: The settings' format: what an edge agent compares before it reads on.
FORMAT: Final = "vigia-component/1"
PUBLISHER: Final = "Vigia"
ARCHIVE, SETTINGS, TAGS, RECIPE = "model.zip", "settings.json", "tags.json", "recipe.json"
FILES: Final = (ARCHIVE, SETTINGS, TAGS, RECIPE)
LONGEST_FILE: Final = max(FILES, key=len)

_RECIPE_FORMAT: Final = "2020-01-25"
_AGENT: Final = "aws.iot.lookoutvision.EdgeAgent"
_AGENT_VERSIONS: Final = ">=1.0.0 <2.0.0"
_OS: Final = {Os.LINUX: "linux"}
_ARCHITECTURE: Final = {Arch.X86_64: "amd64", Arch.ARM64: "aarch64"}
#: The oldest moment that a ZIP archive can hold: content alone decides about its bytes.
_NO_TIME: Final = (1980, 1, 1, 0, 0, 0)

Settings = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Component:
    """``files`` by their names; ``recipe`` is written last: where it lies, the rest does."""

    files: Mapping[str, bytes]
    recipe: bytes


def build(job: PackagingJob, model_arn: str, artifact: Artifact) -> Component:
    """The component of ``job``, for the version ``model_arn``, whose artifact is ``artifact``."""
    settings = _settings(job, model_arn, artifact)
    files = {
        ARCHIVE: _archive(artifact),
        SETTINGS: _json(settings),
        TAGS: _json(job.configuration.tags),
    }
    return Component(files, _json(_recipe(job, settings, files)))


def _settings(job: PackagingJob, model_arn: str, artifact: Artifact) -> Settings:
    """What an edge agent must know beside the artifact; the same in the recipe's configuration and in a file."""
    configuration, manifest = job.configuration, artifact.manifest
    platform = compiler.platform_of(configuration)
    settings = {
        "Format": FORMAT,
        "ModelComponent": job.component_name,
        "ComponentVersion": job.component_version,
        "ModelArn": model_arn,
        "ModelVersion": str(job.model_version),
        "TargetDevice": configuration.device,
        "TargetPlatform": platform.model_dump(mode="json", exclude_none=True),
        "CompilerOptions": compiler.options_of(configuration),
        "Kind": manifest.kind,
        "Labels": [{"Name": label.name, "Color": label.color} for label in manifest.labels],
        # An edge agent takes pixels: packed, interleaved, of exactly this size.
        "Input": {
            "Width": manifest.input.image_width,
            "Height": manifest.input.image_height,
            "PixelFormat": "RGB888",
            "TensorWidth": manifest.input.width,
            "TensorHeight": manifest.input.height,
            "Preparation": manifest.input.preparation,
        },
        "Threshold": manifest.threshold.value,
        # SHA-256 (hex) of the artifact's manifest.json, which names the digest of every other file.
        "ArtifactDigest": artifact.digest,
    }
    return {name: value for name, value in settings.items() if value is not None}


def _recipe(job: PackagingJob, settings: Settings, files: Mapping[str, bytes]) -> dict[str, Any]:
    platform = compiler.platform_of(job.configuration)
    return {
        "RecipeFormatVersion": _RECIPE_FORMAT,
        "ComponentName": job.component_name,
        "ComponentVersion": job.component_version,
        "ComponentType": "aws.greengrass.generic",
        "ComponentDescription": job.configuration.component_description or f"Model {settings['ModelArn']}",
        "ComponentPublisher": PUBLISHER,
        "ComponentDependencies": {_AGENT: {"VersionRequirement": _AGENT_VERSIONS, "DependencyType": "HARD"}},
        "ComponentConfiguration": {"DefaultConfiguration": settings},
        "Manifests": [
            {
                "Platform": {"os": _OS[platform.os], "architecture": _ARCHITECTURE[platform.arch]},
                "Lifecycle": {},
                "Artifacts": [
                    # Unpacked on the device, the archive is the artifact's folder again.
                    {**_artifact(job, ARCHIVE, files), "Unarchive": "ZIP"},
                    {**_artifact(job, SETTINGS, files), "Unarchive": "NONE"},
                ],
            }
        ],
        "Lifecycle": {},
    }


def _artifact(job: PackagingJob, name: str, files: Mapping[str, bytes]) -> dict[str, Any]:
    return {
        "Uri": f"s3://{job.configuration.output.bucket}/{job.folder}{name}",
        "Digest": base64.b64encode(hashlib.sha256(files[name]).digest()).decode(),
        "Algorithm": "SHA-256",
        "Permission": {"Read": "ALL", "Execute": "NONE"},
    }


def _archive(artifact: Artifact) -> bytes:
    """A ZIP of the artifact's files. Stored, not deflated: weights hardly shrink, and zlibs differ in their bytes."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for name, data in sorted(artifact.all_files().items()):
            archive.writestr(zipfile.ZipInfo(name, _NO_TIME), data)
    return content.getvalue()


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False, indent=1).encode() + b"\n"
