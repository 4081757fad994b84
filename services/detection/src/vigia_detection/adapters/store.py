"""Images in the object store: those that others have stored, and the evidence."""

from __future__ import annotations

from vigia_contracts.base import ObjectRef
from vigia_detection.app.errors import ImageGone, ImageTooLarge
from vigia_runtime.objects import BucketNotFound, ObjectNotFound, ObjectStore, ObjectTooLarge
from vigia_runtime.sealing import Seal


class StoredImages:
    """Images by reference, as others stored them: frames too large for Kafka, images that requests name."""

    def __init__(self, store: ObjectStore, max_bytes: int) -> None:
        self._store = store
        self._max_bytes = max_bytes

    async def fetch(self, reference: ObjectRef) -> bytes:
        """The image's bytes; ImageGone, ImageTooLarge; Transient when the store does not answer."""
        try:
            return await self._store.get(
                reference.bucket, reference.key, reference.version_id, most_bytes=self._max_bytes
            )
        except ObjectTooLarge as error:
            raise ImageTooLarge(f"{error.size} bytes; at most {self._max_bytes} are read") from error
        except (ObjectNotFound, BucketNotFound) as error:
            raise ImageGone(f"{reference.bucket}/{reference.key} is not there") from error
        except ValueError as error:
            # obstore's word for a key that no object can have, such as one with "..": a stranger's reference.
            raise ImageGone(f"no object can be called {reference.key!r}") from error


class StoredEvidence:
    """Evidence in its bucket. Keys hold the inspection's id: storing again replaces the same with the same."""

    def __init__(self, store: ObjectStore, bucket: str) -> None:
        self._store = store
        self._bucket = bucket

    async def put(self, key: str, data: bytes, content_type: str, account_id: str) -> ObjectRef:
        """Store for good, sealed for the account; Transient when the store does not answer."""
        return await self._store.put(self._bucket, key, data, content_type, Seal(account_id))
