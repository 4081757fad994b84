"""What a request asks permission for: its action, the resources it is done to, and the condition keys.

As IAM's reference has it. A project that is still to be made is named with ``*`` for the time of its creation, and so
is a model version.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from vigia_registry.http.customlabels.call import Call
from vigia_registry.http.customlabels.errors import SERVICE
from vigia_registry.tags import repository as tags
from vigia_runtime.policies import Context, tag_keys

ANYTHING: Final = "*"
#: The member whose ARN an operation is done to.
MEMBERS: Final[Mapping[str, str]] = {
    "DeleteProject": "ProjectArn",
    "CreateDataset": "ProjectArn",
    "DescribeDataset": "DatasetArn",
    "DeleteDataset": "DatasetArn",
    "ListDatasetEntries": "DatasetArn",
    "ListDatasetLabels": "DatasetArn",
    "UpdateDatasetEntries": "DatasetArn",
    "CreateProjectVersion": "ProjectArn",
    "DescribeProjectVersions": "ProjectArn",
    "DeleteProjectVersion": "ProjectVersionArn",
    "StartProjectVersion": "ProjectVersionArn",
    "StopProjectVersion": "ProjectVersionArn",
    "DetectCustomLabels": "ProjectVersionArn",
    "PutProjectPolicy": "ProjectArn",
    "ListProjectPolicies": "ProjectArn",
    "DeleteProjectPolicy": "ProjectArn",
    "TagResource": "ResourceArn",
    "UntagResource": "ResourceArn",
    "ListTagsForResource": "ResourceArn",
}


@dataclass(frozen=True, slots=True)
class Access:
    """One question to the caller's policies."""

    action: str
    resource: str
    context: Context


async def wanted(call: Call) -> list[Access]:
    """Everything that ``call`` needs permission for; tags are looked up."""
    action, keys = f"{SERVICE}:{call.operation}", request_keys(call.body)
    asked = []
    async with call.deps.database.transaction() as session:
        for resource in resources(call):
            found = {} if ANYTHING in resource else await tags.of(session, resource)
            asked.append(Access(action, resource, {**tag_keys(found), **keys}))
        copied = _copied(call)
        if copied is not None:
            # A copy is a way to read it.
            found = await tags.of(session, copied)
            asked.append(Access(f"{SERVICE}:ListDatasetEntries", copied, tag_keys(found)))
    return asked


def resources(call: Call) -> list[str]:
    """ARNs of what the operation is done to, as the request names them."""
    member = MEMBERS.get(call.operation)
    if member is not None:
        return [_text(call.body.get(member))]
    match call.operation:
        case "CreateProject":
            own = f"arn:aws:{SERVICE}:{call.owner.region}:{call.owner.account_id}"
            return [f"{own}:project/{_text(call.body.get('ProjectName'))}/{ANYTHING}"]
        case "DistributeDatasetEntries":
            given = call.body.get("Datasets")
            items = [item for item in given if isinstance(item, dict)] if isinstance(given, list) else []
            return [_text(item.get("Arn")) for item in items] or [ANYTHING]
        case "CopyProjectVersion":
            return [_text(call.body.get("SourceProjectVersionArn")), _text(call.body.get("DestinationProjectArn"))]
        case _:
            return [ANYTHING]


def _copied(call: Call) -> str | None:
    """The ARN of the dataset whose entries the request wants for another one."""
    source = call.body.get("DatasetSource") if call.operation == "CreateDataset" else None
    arn = source.get("DatasetArn") if isinstance(source, dict) else None
    return None if arn is None else _text(arn)


def request_keys(body: Mapping[str, Any]) -> dict[str, str | tuple[str, ...]]:
    """``aws:RequestTag/…`` and ``aws:TagKeys`` of an operation that gives or takes tags."""
    given = body.get("Tags")
    tags = {key: value for key, value in given.items() if isinstance(value, str)} if isinstance(given, dict) else {}
    taken = body.get("TagKeys")
    names = (*tags, *(key for key in taken if isinstance(key, str))) if isinstance(taken, list) else tuple(tags)
    return {**tag_keys(tags, "aws:RequestTag"), **({"aws:TagKeys": names} if names else {})}


def _text(value: object) -> str:
    return value[:2048] if isinstance(value, str) else ""
