"""Snapshots: what a version is trained or tested on as one immutable object, named by its content.

Of a dataset of Lookout for Vision the labelled lines; of one of Custom Labels all, for training says what is wrong with
each; of a manifest that a customer gave instead its bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from vigia_contracts.base import ObjectRef
from vigia_registry.datasets import repository as datasets
from vigia_registry.identity.domain import Service
from vigia_registry.projects.domain import Project, prefix_of
from vigia_runtime.objects import ObjectStore
from vigia_runtime.sealing import Seal

#: Gives the content, whenever it is called.
Read = Callable[[], AsyncIterator[bytes]]

#: So many bytes are held; of a snapshot with more the content is read once for its name and once to be written.
_HELD: Final = 8 * 1024 * 1024
_CHUNK: Final = 512 * 1024


class Named:
    """The name that content has, found as it passes by."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._held: bytearray | None = bytearray()

    async def passing(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The chunks as they are."""
        async for chunk in chunks:
            self._digest.update(chunk)
            if self._held is not None:
                self._held += chunk
                if len(self._held) > _HELD:
                    self._held = None
            yield chunk

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    @property
    def content(self) -> bytes | None:
        """All that has passed by; None where that is too much to be held."""
        return None if self._held is None else bytes(self._held)


async def write(
    session: AsyncSession, objects: ObjectStore, bucket: str, project: Project, dataset_id: UUID
) -> ObjectRef:
    """Write the dataset's images, in order, and say where they are.

    The same lines give the same key, so repeating it writes nothing new. The caller makes sure afterwards that
    the dataset did not change meanwhile. Transient where one does that cannot be held in memory.
    """

    def read() -> AsyncIterator[bytes]:
        return _joined(lines_of(session, project, dataset_id))

    named = Named()
    async for _ in named.passing(read()):
        pass
    return await put(objects, bucket, project, named, read)


async def put(objects: ObjectStore, bucket: str, project: Project, named: Named, read: Read) -> ObjectRef:
    """Write JSON Lines under the key that their content has. Transient where ``read`` gives something else now."""
    key, kind = f"{prefix_of(project)}snapshots/{named.sha256}.manifest", "application/jsonlines"
    seal = Seal(project.account_id)
    if named.content is not None:
        return await objects.put(bucket, key, named.content, kind, seal)
    return await objects.put_stream(bucket, key, read(), kind, seal, sha256=named.sha256)


def lines_of(session: AsyncSession, project: Project, dataset_id: UUID) -> AsyncIterator[str]:
    """The lines that are trained or tested on, in order."""
    read = datasets.labeled_lines if project.service is Service.LOOKOUT else datasets.lines
    return read(session, dataset_id)


async def _joined(lines: AsyncIterator[str]) -> AsyncIterator[bytes]:
    chunk = bytearray()
    async for line in lines:
        chunk += line.encode() + b"\n"
        if len(chunk) >= _CHUNK:
            yield bytes(chunk)
            chunk.clear()
    if chunk:
        yield bytes(chunk)
