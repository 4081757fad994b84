"""Reading what customers name in the object store, and removing what the product wrote there."""

from __future__ import annotations

from collections.abc import AsyncIterator

from vigia_contracts.base import ObjectRef
from vigia_registry.settings import Settings
from vigia_runtime.objects import BucketNotFound, ObjectStore
from vigia_runtime.rights import Fence, S3Rights, asked_rights, fence_of
from vigia_runtime.sigv4 import Credential

__all__ = ["Fence", "S3Rights", "asked_rights", "fence_of", "remove_below", "rights_of", "stream"]


def rights_of(settings: Settings, caller: Credential) -> S3Rights:
    """The rights of a caller, as far as the installation asks for them."""
    return asked_rights(settings.buckets, caller if settings.identity.s3_policies else None)


async def stream(objects: ObjectStore, source: ObjectRef) -> AsyncIterator[bytes]:
    """The object's bytes in pieces."""
    async for chunk in objects.get_stream(source.bucket, source.key, version_id=source.version_id):
        yield chunk


async def remove_below(objects: ObjectStore, bucket: str, prefix: str) -> None:
    """Remove every object below ``prefix``; nothing happens where there is none. Safe to repeat.

    Holds one page of their names, of which there may be millions.
    """
    try:
        async for page in objects.pages(bucket, prefix=prefix):
            await objects.delete_many(bucket, [info.key for info in page])
    except BucketNotFound:
        return
