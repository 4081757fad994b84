"""What a request asks permission for: its action, the resources it is done to, and the condition keys.

As IAM's reference has it: where it asks for two kinds of resource, both must be allowed. A project that is still to be
made is named with ``*`` for the time of its creation, and so is a model version.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from vigia_registry.http.customlabels.call import Call
from vigia_registry.http.customlabels.errors import SERVICE
from vigia_registry.http.endpoint import Access
from vigia_registry.identity.domain import Owner
from vigia_registry.tags import repository as tags
from vigia_runtime.policies import tag_keys

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
_NAME: Final = r"[a-zA-Z0-9_.\-]{1,255}"
#: A project, a dataset or a model version that may exist.
_THING: Final = re.compile(
    rf"arn:aws:{SERVICE}:(?P<region>[a-z0-9-]+):(?P<account>[0-9]{{12}}):project/{_NAME}"
    rf"(/version/{_NAME}|/dataset/(train|test))?/[0-9]{{1,20}}"
)


async def wanted(call: Call) -> list[Access]:
    """Everything that ``call`` needs permission for; tags are looked up."""
    action, keys = f"{SERVICE}:{call.operation}", request_keys(call.body)
    asked = []
    async with call.deps.database.transaction() as session:
        for resource in resources(call):
            found = await _tags(session, call.owner, resource)
            asked.append(Access(action, resource, {**tag_keys(found), **keys}))
        copied = _copied(call)
        if copied is not None:
            # A copy is a way to read it.
            found = await _tags(session, call.owner, copied)
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
        case "CreateProjectVersion":
            project = _text(call.body.get("ProjectArn"))
            version = f"{project.rpartition('/')[0]}/version/{_text(call.body.get('VersionName'))}/{ANYTHING}"
            return [project, version]
        case "DistributeDatasetEntries":
            given = call.body.get("Datasets")
            items = [item for item in given if isinstance(item, dict)] if isinstance(given, list) else []
            return [_text(item.get("Arn")) for item in items] or [ANYTHING]
        case "CopyProjectVersion":
            return [_text(call.body.get("SourceProjectVersionArn")), _text(call.body.get("DestinationProjectArn"))]
        case _:
            return [ANYTHING]


async def _tags(session: AsyncSession, owner: Owner, arn: str) -> dict[str, str]:
    """Tags of a thing of the owner's; of what is another's nothing is told, and what cannot be is not looked up."""
    named = _THING.fullmatch(arn)
    own = named is not None and (named["region"], named["account"]) == (owner.region, owner.account_id)
    return await tags.of(session, arn) if own else {}


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
    """As a question to policies and to the database, which hold neither NUL nor halves of surrogate pairs."""
    return value[:2048].encode("utf-8", "replace").decode().replace("\0", "?") if isinstance(value, str) else ""
