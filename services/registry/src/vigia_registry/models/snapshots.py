"""Snapshots: the lines of a dataset that training needs as one immutable object, named by its content."""

from __future__ import annotations

import hashlib
import io
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
    """Write the dataset's classified images, in order, and say where they are.

    In Custom Labels all of its lines: training counts and reports those that it cannot use.

    The same lines give the same key, so repeating it writes nothing new. The caller makes sure afterwards that
    the dataset did not change meanwhile.
    """
    digest = hashlib.sha256()
    lines = io.BytesIO()
    chosen = datasets.labeled_lines if project.service is Service.LOOKOUT else datasets.lines
    async for line in chosen(session, dataset_id):
        encoded = line.encode() + b"\n"
        digest.update(encoded)
        lines.write(encoded)
    key = f"{prefix_of(project)}snapshots/{digest.hexdigest()}.manifest"
    return await objects.put(bucket, key, lines.getvalue(), "application/jsonlines", Seal(project.account_id))
