"""Deferring jobs. A job is written in the caller's transaction: both happen or neither."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from procrastinate import App, PsycopgConnector
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

#: The job tables have a schema of their own: they belong to procrastinate and not to our Alembic tree.
JOBS_SCHEMA: Final = "registry_jobs"

COPY_MODEL: Final = "copy-model"
IMPORT_ENTRIES: Final = "import-entries"
DELETE_DATASET: Final = "delete-dataset"
DELETE_MODEL: Final = "delete-model"
DELETE_PROJECT: Final = "delete-project"
EXPIRE_OBJECTS: Final = "expire-objects"
PACKAGE_MODEL: Final = "package-model"
READ_MANIFESTS: Final = "read-manifests"
RUN_TRIAL: Final = "run-trial"

#: Where jobs wait, and those that hold a model in memory: a worker does one of these at a time, beside the others.
DEFAULT_QUEUE: Final = "default"
MODEL_QUEUE: Final = "models"
#: Jobs that hold a whole manifest or artifact in memory, but not for long: one at a time, too.
LARGE_QUEUE: Final = "large"

# Never opened: it only writes the row, on the connection it is given.
_QUEUE = App(connector=PsycopgConnector())


async def entries_import(session: AsyncSession, dataset_id: UUID, asked_with: str | None) -> None:
    """Read the dataset's source into its entries; whose images they are, policies of the key ``asked_with`` say."""
    await _defer(session, IMPORT_ENTRIES, "dataset", dataset_id, asked_with=asked_with)


async def dataset_deletion(session: AsyncSession, dataset_id: UUID) -> None:
    """Remove a dataset that is marked for it."""
    await _defer(session, DELETE_DATASET, "dataset", dataset_id)


async def manifests_reading(session: AsyncSession, model_version_id: UUID, asked_with: str | None) -> None:
    """Read the manifests that were given for a model version, with the rights of the key ``asked_with``."""
    await _defer(session, READ_MANIFESTS, "model", model_version_id, LARGE_QUEUE, asked_with=asked_with)


async def model_copy(session: AsyncSession, model_version_id: UUID, asked_with: str | None) -> None:
    """Copy what a model version is the copy of, with the rights of the key ``asked_with``."""
    await _defer(session, COPY_MODEL, "model", model_version_id, LARGE_QUEUE, asked_with=asked_with)


async def model_deletion(session: AsyncSession, model_version_id: UUID, after_seconds: float = 0) -> None:
    """Remove a model version that is marked for it, ``after_seconds`` from now."""
    await _defer(session, DELETE_MODEL, "model", model_version_id, after_seconds=after_seconds)


async def project_deletion(session: AsyncSession, project_id: UUID) -> None:
    """Remove a project that is marked for it."""
    await _defer(session, DELETE_PROJECT, "project", project_id)


async def packaging(session: AsyncSession, job_id: UUID) -> None:
    """Make the component of a packaging job."""
    await _defer(session, PACKAGE_MODEL, "packaging", job_id)


async def trial_run(session: AsyncSession, trial_id: UUID) -> None:
    """Judge the images of a trial that wait."""
    await _defer(session, RUN_TRIAL, "trial", trial_id, MODEL_QUEUE)


async def _defer(
    session: AsyncSession,
    task: str,
    kind: str,
    subject: UUID,
    queue: str = DEFAULT_QUEUE,
    *,
    after_seconds: float = 0,
    asked_with: str | None = None,
) -> None:
    connection = await (await session.connection()).get_raw_connection()
    await session.execute(text(f"SET LOCAL search_path TO {JOBS_SCHEMA}"))
    # Jobs about one thing run one after the other.
    job = _QUEUE.configure_task(
        task,
        lock=f"{kind}:{subject}",
        queue=queue,
        connection=connection.driver_connection,
        schedule_in={"seconds": after_seconds} if after_seconds else None,
    )
    given = {} if asked_with is None else {"asked_with": asked_with}
    await job.defer_async(subject=str(subject), **given)
