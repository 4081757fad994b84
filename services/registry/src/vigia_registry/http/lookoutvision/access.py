"""What a request asks permission for: its action, the resource it is done to, and the condition keys.

As IAM's reference has it: operations on projects name the project, operations on model versions name the version,
operations on datasets and packaging jobs, and lists, name nothing (``*``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

from vigia_registry.http.endpoint import Access
from vigia_registry.http.lookoutvision.call import Call
from vigia_registry.http.lookoutvision.errors import SERVICE
from vigia_registry.http.lookoutvision.validation import MODEL_VERSION
from vigia_registry.identity.domain import Owner
from vigia_registry.models import service as models
from vigia_registry.models.domain import VersionName, model_arn
from vigia_registry.projects.domain import may_be_named, project_arn
from vigia_runtime.policies import tag_keys

ANYTHING: Final = "*"


class Kind(Enum):
    """What an operation is done to."""

    NOTHING = auto()
    PROJECT = auto()
    NEW_MODEL = auto()  # whose number is not known yet
    MODEL = auto()
    TAGGED = auto()  # what the path's ARN names


RESOURCES: Final[Mapping[str, Kind]] = {
    "CreateProject": Kind.PROJECT,
    "DescribeProject": Kind.PROJECT,
    "DeleteProject": Kind.PROJECT,
    "ListProjects": Kind.NOTHING,
    "CreateDataset": Kind.NOTHING,
    "DescribeDataset": Kind.NOTHING,
    "DeleteDataset": Kind.NOTHING,
    "ListDatasetEntries": Kind.NOTHING,
    "UpdateDatasetEntries": Kind.NOTHING,
    "CreateModel": Kind.NEW_MODEL,
    "DescribeModel": Kind.MODEL,
    "DeleteModel": Kind.MODEL,
    "StartModel": Kind.MODEL,
    "StopModel": Kind.MODEL,
    "DetectAnomalies": Kind.MODEL,
    "ListModels": Kind.NOTHING,
    "StartModelPackagingJob": Kind.MODEL,
    "DescribeModelPackagingJob": Kind.NOTHING,
    "ListModelPackagingJobs": Kind.NOTHING,
    "TagResource": Kind.TAGGED,
    "UntagResource": Kind.TAGGED,
    "ListTagsForResource": Kind.TAGGED,
}

_ARN: Final = re.compile(
    r"arn:aws:lookoutvision:(?P<region>[^:]+):(?P<account>[^:]+):model/(?P<project>[^/]+)/(?P<version>[0-9]+)"
)
#: More characters than any name or ARN has: of what is longer, an answer repeats the beginning.
_MOST: Final = 1100


@dataclass(frozen=True, slots=True)
class Model:
    """A version as a request names it."""

    project: str
    version: VersionName


async def wanted(call: Call) -> Access:
    """What ``call`` needs permission for; tags and ``latest`` are looked up."""
    action, keys = f"{SERVICE}:{call.operation}", request_keys(call)
    named = model(call)
    if named is None:
        return Access(action, resource(call), keys)
    async with call.deps.database.transaction() as session:
        found = await models.tagged(session, call.owner, named.project, named.version)
    if found is None:
        return Access(action, resource(call), keys)
    arn, tags = found
    return Access(action, arn, {**tag_keys(tags), **keys})


def resource(call: Call) -> str:
    """The ARN of what the operation is done to, as the request names it."""
    owner, kind = call.owner, RESOURCES[call.operation]
    project = _text(call.path.get("projectName") or call.body.get("ProjectName"))
    if kind is Kind.PROJECT:
        return project_arn(owner, project)
    if kind is Kind.NEW_MODEL:
        return model_arn(owner.region, owner.account_id, project, ANYTHING)
    if kind is Kind.MODEL:
        version = _text(call.path.get("modelVersion") or call.body.get("ModelVersion"))
        return model_arn(owner.region, owner.account_id, project, version)
    return _text(call.path.get("resourceArn")) if kind is Kind.TAGGED else ANYTHING


def model(call: Call) -> Model | None:
    """The caller's model version that the request names; None where it names none, or none that can exist."""
    match RESOURCES[call.operation]:
        case Kind.MODEL:
            version = call.path.get("modelVersion") or call.body.get("ModelVersion")
            return _named(call.path.get("projectName"), version)
        case Kind.TAGGED:
            arn = _ARN.fullmatch(call.path.get("resourceArn", ""))
            if arn is None or Owner(arn["account"], arn["region"]) != call.owner:
                return None
            return _named(arn["project"], arn["version"])
        case _:
            return None


def request_keys(call: Call) -> dict[str, str | tuple[str, ...]]:
    """``aws:RequestTag/…`` and ``aws:TagKeys`` of an operation that gives or takes tags."""
    tags = {}
    given = call.body.get("Tags")
    for pair in given if isinstance(given, list) else []:
        if isinstance(pair, dict) and isinstance(pair.get("Key"), str) and isinstance(pair.get("Value"), str):
            tags[pair["Key"]] = pair["Value"]
    names = tuple(tags)
    if call.operation == "UntagResource":
        names = tuple(call.query.getlist("tagKeys"))
    return {**tag_keys(tags, "aws:RequestTag"), **({"aws:TagKeys": names} if names else {})}


def _named(project: Any, version: Any) -> Model | None:
    if not isinstance(project, str) or not isinstance(version, str):
        return None
    if not may_be_named(project) or MODEL_VERSION.fullmatch(version) is None:
        return None
    if version == "latest":
        return Model(project, "latest")
    return Model(project, int(version)) if int(version) < 2**31 else None


def _text(value: object) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= _MOST else text[:_MOST] + "..."
