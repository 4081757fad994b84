"""TagResource, UntagResource, ListTagsForResource: of model versions, projects and datasets."""

from __future__ import annotations

from typing import Final

from vigia_registry.datasets import service as datasets
from vigia_registry.errors import Resource
from vigia_registry.http.customlabels import validation
from vigia_registry.http.customlabels.call import Call, Shape
from vigia_registry.models import service as models
from vigia_registry.projects import service as projects

_TAG: Final = {Resource.MODEL: models.tag, Resource.PROJECT: projects.tag, Resource.DATASET: datasets.tag}
_UNTAG: Final = {Resource.MODEL: models.untag, Resource.PROJECT: projects.untag, Resource.DATASET: datasets.untag}
_TAGS: Final = {Resource.MODEL: models.tags_of, Resource.PROJECT: projects.tags_of, Resource.DATASET: datasets.tags_of}


async def tag_resource(call: Call) -> Shape:
    """Add tags to a resource, or give those that are there new values."""
    arn = validation.resource_arn(call.body.get("ResourceArn"))
    given = validation.given_tags(call.body.get("Tags"))
    async with call.change() as session:
        await _TAG[_kind(arn)](session, call.deps.settings.limits, call.owner, arn, given)
    return {}


async def untag_resource(call: Call) -> Shape:
    """Take tags from a resource."""
    arn = validation.resource_arn(call.body.get("ResourceArn"))
    keys = validation.tag_keys(call.body.get("TagKeys"))
    async with call.change() as session:
        await _UNTAG[_kind(arn)](session, call.owner, arn, keys)
    return {}


async def list_tags_for_resource(call: Call) -> Shape:
    """The tags of a resource."""
    arn = validation.resource_arn(call.body.get("ResourceArn"))
    async with call.read() as session:
        return {"Tags": await _TAGS[_kind(arn)](session, call.owner, arn)}


def _kind(arn: str) -> Resource:
    """Of what an ARN is; one that is of nothing is a project's that does not exist."""
    match arn.split("/"):
        case [_, _, "version", _, _]:
            return Resource.MODEL
        case [_, _, "dataset", _, _]:
            return Resource.DATASET
        case _:
            return Resource.PROJECT
