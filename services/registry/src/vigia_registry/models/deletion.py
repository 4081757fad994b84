"""The deletion job of a model version: out of every Triton first, then its files, then its row.

The snapshots of the data sets that it was trained on go with the last version that was trained on them.
"""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

from vigia_registry.db import Database
from vigia_registry.hosting import service as hosting
from vigia_registry.hosting.domain import Observed
from vigia_registry.models import repository
from vigia_registry.models.domain import ModelState, artifact_prefix
from vigia_registry.objects import remove_below
from vigia_registry.projects import repository as projects
from vigia_registry.projects.domain import prefix_of
from vigia_registry.tags import repository as tags
from vigia_runtime.objects import BucketNotFound, ObjectStore


class StillHostedError(Exception):
    """The version has not left Triton yet; the job comes again."""


async def delete_model(database: Database, objects: ObjectStore, bucket: str, model_version_id: UUID) -> None:
    """Remove a version that is marked for it, and its artifact. Evaluation files are the customer's and stay.

    Safe to repeat. StillHostedError while a Triton holds it.
    """
    async with database.transaction() as session:
        model = await repository.lock_by_id(session, model_version_id)
        if model is None or model.state is not ModelState.DELETING:
            return
        if (await hosting.view(session, model.id)).observed not in (Observed.ABSENT, Observed.FAILED):
            raise StillHostedError(model.arn)
        project = await projects.lock_by_id(session, model.project_id)
        if project is not None:
            await remove_below(objects, bucket, artifact_prefix(project, model) + "/")
            # The project is locked, so nobody begins to need them meanwhile.
            for snapshot in await repository.snapshots_of_none_else(session, model):
                if not snapshot.key.startswith(prefix_of(project)):
                    continue
                with suppress(BucketNotFound):
                    await objects.delete(snapshot.bucket, snapshot.key)
        await tags.remove_all(session, model.arn)
        await repository.remove(session, model.id)
