"""Reading what customers name in the object store, and removing what the product wrote there."""

from __future__ import annotations

from collections.abc import AsyncIterator

from vigia_contracts.base import ObjectRef
from vigia_runtime.objects import BucketNotFound, ObjectStore


async def stream(objects: ObjectStore, source: ObjectRef) -> AsyncIterator[bytes]:
    """The object's bytes in pieces."""
    async for chunk in objects.get_stream(source.bucket, source.key, version_id=source.version_id):
        yield chunk


async def remove_below(objects: ObjectStore, bucket: str, prefix: str) -> None:
    """Remove every object below ``prefix``; nothing happens where there is none. Safe to repeat."""
    try:
        found = await objects.list(bucket, prefix)
    except BucketNotFound:
        return
    for info in found:
        await objects.delete(bucket, info.key)
