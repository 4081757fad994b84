"""Reading what customers name in the object store, and removing what the product wrote there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from vigia_contracts.base import ObjectRef
from vigia_runtime.objects import BucketNotFound, ObjectStore
from vigia_runtime.settings import BucketSettings


@dataclass(frozen=True, slots=True)
class Fence:
    """What an account may name of Vigia's own buckets, where all accounts' things lie: what begins with its id.

    Who may name other buckets is the object store's matter.
    """

    own: frozenset[str]
    account_id: str

    def allows(self, bucket: str, key: str) -> bool:
        """Whether the account may name the object, or what lies below that prefix."""
        return bucket not in self.own or key.startswith(f"{self.account_id}/")

    def why(self, bucket: str) -> str:
        """What to say of an object that is not allowed."""
        return f"of Vigia's bucket {bucket} only what begins with {self.account_id}/ is yours"


def fence_of(buckets: BucketSettings, account_id: str) -> Fence:
    """The fence of an account."""
    return Fence(frozenset({buckets.artifacts, buckets.datasets, buckets.evidence, buckets.frames}), account_id)


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
