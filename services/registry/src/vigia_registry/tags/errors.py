"""What can go wrong with tags."""

from __future__ import annotations

from vigia_registry.errors import Resource, about
from vigia_runtime.errors import InvalidInput, LimitExceeded


class TagReserved(InvalidInput):
    """Keys that begin like this are AWS's own."""

    def __init__(self, key: str) -> None:
        super().__init__("tag_reserved", f"The tag key {key} begins with aws:, which is reserved.", {"key": key})


class TooManyTags(LimitExceeded):
    def __init__(self, resource: Resource, resource_id: str, limit: int) -> None:
        super().__init__(
            "tags_per_resource",
            f"The resource {resource_id} would have more than {limit} tags, the most it may have.",
            about(resource, resource_id),
        )
