"""Where the customer wants a version's files: what they are called, and whether they can be written there."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from vigia_contracts.training import OutputLocation
from vigia_registry.identity.domain import Service
from vigia_registry.models.errors import OutputForbidden, OutputUnavailable, OutputUnusable
from vigia_registry.objects import S3Rights, fence_of
from vigia_runtime.objects import ObjectStore, usable_key
from vigia_runtime.settings import BucketSettings

#: A version whose number is not known yet has one of at most so many characters.
LONGEST_NUMBER: Final = "9" * 10
_LOOKOUT: Final = ("EvaluationManifest-{}.json", "EvaluationResult-{}.json")


class ReportKind(StrEnum):
    """How the report is written; the end of its file's name."""

    HTML = "html"
    JSON = "json"

    def of(self, project: str, version: str) -> str:
        """The file's name."""
        return f"EvaluationReport-{project}-{version}.{self.value}"


class ResultFile(StrEnum):
    """What training leaves of a version of Custom Labels, but for its reports; how the files' names begin."""

    EVALUATION = "EvaluationResultSummary"
    TRAINING_SNAPSHOT = "TrainingGroundTruth"
    TESTING_SNAPSHOT = "TestingGroundTruth"
    SUMMARY = "ManifestSummary"
    TRAINING_CHECKS = "TrainingManifestWithValidation"
    TESTING_CHECKS = "TestingManifestWithValidation"

    def of(self, project: str, version: str) -> str:
        """The file's name."""
        return f"{self.value}-{project}-{version}.json"


def names(service: Service, project: str, version: str) -> list[str]:
    """What training writes for the customer, and what a copy of the version brings along."""
    reports = [kind.of(project, version) for kind in ReportKind]
    if service is Service.LOOKOUT:
        return [*(name.format(f"{project}-{version}") for name in _LOOKOUT), *reports]
    return [*(file.of(project, version) for file in ResultFile), *reports]


def key(output: OutputLocation, name: str) -> str:
    """The key of a file there. The guides' own samples end the prefix with a slash; it is joined with exactly one."""
    return f"{output.prefix.rstrip('/')}/{name}".lstrip("/")


async def check(
    objects: ObjectStore,
    buckets: BucketSettings,
    rights: S3Rights,
    account_id: str,
    output: OutputLocation,
    files: list[str],
) -> None:
    """OutputForbidden, OutputUnusable when no object can be called as one of ``files`` there, OutputUnavailable,
    AccessDenied when the caller may not look at the bucket."""
    if output.bucket in fence_of(buckets, account_id).own:
        raise OutputForbidden(output.bucket)
    if not usable_key(key(output, max(files, key=len))):
        raise OutputUnusable(output.prefix)
    rights.require("GetBucketLocation", output.bucket)
    if not await objects.bucket_exists(output.bucket):
        raise OutputUnavailable(output.bucket)


def require_writable(rights: S3Rights, output: OutputLocation, files: list[str]) -> None:
    """AccessDenied when the caller may not write one of ``files`` there."""
    for name in files:
        rights.require("PutObject", output.bucket, key(output, name))
