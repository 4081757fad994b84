"""TagResource, UntagResource, ListTagsForResource."""

from __future__ import annotations

from vigia_registry.http.lookoutvision import shapes, validation
from vigia_registry.http.lookoutvision.call import Call
from vigia_registry.http.lookoutvision.shapes import Shape
from vigia_registry.models import service as models


async def tag_resource(call: Call) -> Shape:
    """Add tags to a model version, or give those that are there new values."""
    arn = validation.resource_arn(call.path["resourceArn"])
    tags = validation.given_tags(call.body.get("Tags"))
    async with call.deps.database.transaction() as session:
        await models.tag(session, call.deps.settings.limits, call.owner, arn, tags)
    return {}


async def untag_resource(call: Call) -> Shape:
    """Take tags from a model version."""
    arn = validation.resource_arn(call.path["resourceArn"])
    keys = validation.tag_keys(call.query.getlist("tagKeys"))
    async with call.deps.database.transaction() as session:
        await models.untag(session, call.owner, arn, keys)
    return {}


async def list_tags_for_resource(call: Call) -> Shape:
    """The tags of a model version."""
    arn = validation.resource_arn(call.path["resourceArn"])
    async with call.deps.database.transaction() as session:
        tags = await models.tags_of(session, call.owner, arn)
    return {"Tags": shapes.tag_list(tags)}
