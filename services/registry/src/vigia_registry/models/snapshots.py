"""Snapshots: what a version is trained or tested on as one immutable object, named by its content.

Of a dataset of Lookout for Vision the labelled lines; of one of Custom Labels all, for training says what is wrong with
each; of a manifest that a customer gave instead its bytes.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import AsyncIterator
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from vigia_contracts.base import ObjectRef
from vigia_registry.datasets import repository as datasets
from vigia_registry.identity.domain import Service
from vigia_registry.projects.domain import Project, prefix_of
from vigia_runtime.objects import ObjectStore
from vigia_runtime.sealing import Seal


async def write(
    session: AsyncSession, objects: ObjectStore, bucket: str, project: Project, dataset_id: UUID
) -> ObjectRef:
    """Write the dataset's images, in order, and say where they are.

    The same lines give the same key, so repeating it writes nothing new. The caller makes sure afterwards that
    the dataset did not change meanwhile.
    """
    lines = io.BytesIO()
    async for line in lines_of(session, project, dataset_id):
        lines.write(line.encode() + b"\n")
    return await put(objects, bucket, project, lines.getvalue())


async def put(objects: ObjectStore, bucket: str, project: Project, content: bytes) -> ObjectRef:
    """Write JSON Lines under the key that their content has."""
    key = f"{prefix_of(project)}snapshots/{hashlib.sha256(content).hexdigest()}.manifest"
    return await objects.put(bucket, key, content, "application/jsonlines", Seal(project.account_id))


def lines_of(session: AsyncSession, project: Project, dataset_id: UUID) -> AsyncIterator[str]:
    """The lines that are trained or tested on, in order."""
    read = datasets.labeled_lines if project.service is Service.LOOKOUT else datasets.lines
    return read(session, dataset_id)
