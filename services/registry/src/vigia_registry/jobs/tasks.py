"""What the jobs do. Every job is safe to repeat: a worker that dies leaves it to another one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from procrastinate import App, BaseRetryStrategy, JobContext, RetryDecision
from procrastinate.exceptions import JobAborted
from procrastinate.jobs import Job

from vigia_registry import retention
from vigia_registry.bootstrap import Deps
from vigia_registry.datasets.deletion import delete_dataset
from vigia_registry.datasets.domain import Fault
from vigia_registry.datasets.importer import fail, import_entries
from vigia_registry.identity.credentials import credential
from vigia_registry.identity.domain import Vault
from vigia_registry.jobs.queue import (
    COPY_MODEL,
    DELETE_DATASET,
    DELETE_MODEL,
    DELETE_PROJECT,
    EXPIRE_OBJECTS,
    IMPORT_ENTRIES,
    PACKAGE_MODEL,
    READ_MANIFESTS,
    RUN_TRIAL,
)
from vigia_registry.models import copying, given
from vigia_registry.models.deletion import StillHostedError, delete_model
from vigia_registry.objects import S3Rights, asked_rights
from vigia_registry.packaging import job as packaging
from vigia_registry.projects.deletion import delete_project
from vigia_registry.trials import running as trials

#: The key of ``Deps`` in a worker's additional context.
DEPS: Final = "deps"

#: How often an import, a copy, a packaging or a trial is tried: with the waits in between, about a minute of trouble
#: outside.
_ATTEMPTS: Final = 6
_LONGEST_WAIT: Final = 60

#: Every hour; not at its full minute, when everybody else's jobs begin.
_HOURLY: Final = "17 * * * *"


class UnsettledError(Exception):
    """It could not even be stored that a job failed. It comes again until that is done: clients wait for it."""


class _Again(BaseRetryStrategy):
    """When a job that failed is tried again: after 2, 4, 8 … seconds, ``most`` times in all, or without end."""

    def __init__(self, most: int | None) -> None:
        self._most = most

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        """The wait before the next attempt, None to give up."""
        if isinstance(exception, StillHostedError):
            return RetryDecision(retry_in={"seconds": 1})
        if isinstance(exception, asyncio.CancelledError | JobAborted):
            return RetryDecision(retry_in={"seconds": 0})  # the worker stops; another one goes on
        unsettled = isinstance(exception, UnsettledError)
        if self._most is not None and job.attempts + 1 >= self._most and not unsettled:
            return None
        return RetryDecision(retry_in={"seconds": min(2 ** (job.attempts + 1), _LONGEST_WAIT)})


def register(app: App) -> None:
    """Teach ``app`` every job."""
    app.task(name=IMPORT_ENTRIES, pass_context=True, retry=_Again(_ATTEMPTS))(_import_entries)
    app.task(name=PACKAGE_MODEL, pass_context=True, retry=_Again(_ATTEMPTS))(_package_model)
    app.task(name=READ_MANIFESTS, pass_context=True, retry=_Again(_ATTEMPTS))(_read_manifests)
    app.task(name=COPY_MODEL, pass_context=True, retry=_Again(_ATTEMPTS))(_copy_model)
    app.task(name=DELETE_DATASET, pass_context=True, retry=_Again(None))(_delete_dataset)
    app.task(name=DELETE_MODEL, pass_context=True, retry=_Again(None))(_delete_model)
    app.task(name=DELETE_PROJECT, pass_context=True, retry=_Again(None))(_delete_project)
    app.task(name=RUN_TRIAL, pass_context=True, retry=_Again(_ATTEMPTS))(_run_trial)
    # One at a time. What fails waits for the next hour; what a stopping worker breaks off, another one goes on with.
    expire = app.task(name=EXPIRE_OBJECTS, pass_context=True, retry=_Again(1), lock=EXPIRE_OBJECTS)(_expire_objects)
    app.periodic(cron=_HOURLY)(expire)


def _deps(context: JobContext) -> Deps:
    deps = context.additional_context[DEPS]
    if not isinstance(deps, Deps):
        raise TypeError("the worker was started without its dependencies")
    return deps


async def _settle(settling: Awaitable[None]) -> None:
    try:
        await settling
    # A process boundary: whatever it was, the job must come again.
    except Exception as error:
        raise UnsettledError from error


async def _import_entries(context: JobContext, subject: str, asked_with: str | None = None) -> None:
    deps = _deps(context)

    def failed(message: str, fault: Fault = Fault.SERVICE) -> Awaitable[None]:
        return _settle(fail(deps.database, deps.objects, UUID(subject), message, fault))

    if context.job.attempts >= _ATTEMPTS:
        # The worker died again and again: if it is this that kills it, other jobs must not go on suffering.
        await failed("The import was broken off too often. Try again.")
        return
    try:
        rights = await _rights(deps, asked_with)
        if rights is None:
            inactive = f"The access key {asked_with} that asked for the import is not active any more."
            await failed(inactive, Fault.CLIENT)
            return
        await import_entries(deps.database, deps.objects, deps.settings, UUID(subject), rights)
    # A process boundary: whatever ended the job, the last attempt must settle what clients wait for.
    except Exception:
        if context.job.attempts + 1 >= _ATTEMPTS:
            await failed("The import failed for an internal reason. Try again.")
        raise


async def _rights(deps: Deps, asked_with: str | None) -> S3Rights | None:
    """The rights, as they are now, of who asked with that key; None where it is gone or inactive."""
    if asked_with is None:
        return asked_rights(deps.settings.buckets, None)
    async with deps.database.transaction() as session:
        caller = await credential(session, Vault(deps.settings.secret_key.get_secret_value()), asked_with)
    return None if caller is None else asked_rights(deps.settings.buckets, caller)


async def _package_model(context: JobContext, subject: str) -> None:
    deps = _deps(context)

    def failed(message: str) -> Awaitable[None]:
        return _settle(packaging.fail(deps.database, deps.objects, UUID(subject), message))

    if context.job.attempts >= _ATTEMPTS:  # as above
        await failed("The packaging was broken off too often. Start another job.")
        return
    try:
        await packaging.package(deps.database, deps.objects, UUID(subject))
    # A process boundary, as above.
    except Exception:
        if context.job.attempts + 1 >= _ATTEMPTS:
            await failed("The packaging failed for an internal reason. Start another job.")
        raise


async def _read_manifests(context: JobContext, subject: str, asked_with: str | None = None) -> None:
    deps, settings = _deps(context), _deps(context).settings

    def failed(message: str) -> Awaitable[None]:
        return _settle(given.fail(deps.database, UUID(subject), message))

    if context.job.attempts >= _ATTEMPTS:  # as above
        await failed(given.SERVICE_ISSUE)
        return
    try:
        rights = await _rights(deps, asked_with)
        if rights is None:
            await failed(given.FORBIDDEN)
            return
        most_bytes = settings.custom_labels.max_manifest_bytes
        await given.read(deps.database, deps.objects, settings.buckets, most_bytes, UUID(subject), rights)
    # A process boundary, as above.
    except Exception:
        if context.job.attempts + 1 >= _ATTEMPTS:
            await failed(given.SERVICE_ISSUE)
        raise


async def _copy_model(context: JobContext, subject: str, asked_with: str | None = None) -> None:
    deps = _deps(context)

    def failed(message: str) -> Awaitable[None]:
        return _settle(copying.fail(deps.database, UUID(subject), message))

    if context.job.attempts >= _ATTEMPTS:  # as above
        await failed("The copying was broken off too often. Start it again.")
        return
    try:
        rights = await _rights(deps, asked_with)
        if rights is None:
            await failed(f"The access key {asked_with} that asked for the copy is not active any more.")
            return
        await copying.copy(deps.database, deps.objects, deps.settings.buckets.artifacts, UUID(subject), rights)
    # A process boundary, as above.
    except Exception:
        if context.job.attempts + 1 >= _ATTEMPTS:
            await failed("The copying failed for an internal reason. Start it again.")
        raise


async def _delete_dataset(context: JobContext, subject: str) -> None:
    await delete_dataset(_deps(context).database, UUID(subject))


async def _delete_model(context: JobContext, subject: str) -> None:
    deps = _deps(context)
    await delete_model(deps.database, deps.objects, deps.settings.buckets.artifacts, UUID(subject))


async def _delete_project(context: JobContext, subject: str) -> None:
    deps = _deps(context)
    await delete_project(deps.database, deps.objects, deps.settings.buckets.datasets, UUID(subject))


async def _run_trial(context: JobContext, subject: str) -> None:
    deps = _deps(context)

    def failed(message: str) -> Awaitable[None]:
        return _settle(trials.fail(deps.database, UUID(subject), message))

    if context.job.attempts >= _ATTEMPTS:
        # As above; here it may be the model.
        await failed("The trial was broken off too often.")
        return
    try:
        await trials.run_trial(deps.database, deps.objects, deps.settings.buckets.datasets, UUID(subject))
    # A process boundary, as above.
    except Exception:
        if context.job.attempts + 1 >= _ATTEMPTS:
            await failed("The trial failed for an internal reason. Start it again.")
        raise


async def _expire_objects(context: JobContext, timestamp: int) -> None:
    # As of when it was due: a job that waited deletes no more than it should have.
    await retention.run(_deps(context), datetime.fromtimestamp(timestamp, UTC))
