"""The process that does the jobs."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

import psycopg
from procrastinate import App, PsycopgConnector
from procrastinate.exceptions import ConnectorException
from sqlalchemy.exc import SQLAlchemyError

from vigia_registry.bootstrap import Deps
from vigia_registry.idempotency import service as idempotency
from vigia_registry.jobs.queue import DEFAULT_QUEUE, JOBS_SCHEMA, LARGE_QUEUE, MODEL_QUEUE
from vigia_registry.jobs.tasks import DEPS, register
from vigia_registry.models import trainings
from vigia_runtime.health import Health, Heartbeat
from vigia_runtime.logging import get_logger
from vigia_runtime.postgres import transient

log = get_logger(__name__)

#: A worker shows that it lives this often, and counts as dead after this long; then its jobs start again.
HEARTBEAT_SECONDS: Final = 2.0
DEAD_AFTER_SECONDS: Final = 10.0
_RESCUE_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 1.0
_RECONNECT_SECONDS: Final = 1.0
_CONNECT_SECONDS: Final = 10.0
#: Of each queue. A model in memory is large, so there is one, and what waits for it takes no place of other jobs.
_JOBS_AT_ONCE: Final = {DEFAULT_QUEUE: 4, MODEL_QUEUE: 1, LARGE_QUEUE: 1}
#: A stop waits this long for jobs under way; then they are cancelled and another worker starts them again.
_GRACE_SECONDS: Final = 15.0
_KEEP_FINISHED_HOURS: Final = 24
_HOUSEKEEPING_SECONDS: Final = 600.0


async def run(deps: Deps, health: Health, stopping: asyncio.Event) -> None:
    """Do jobs until ``stopping`` is set. While the database is away, wait for it."""
    beat = health.heartbeat("job worker", 60)
    while not stopping.is_set():
        try:
            await _work(deps, beat, stopping)
        except (ConnectorException, SQLAlchemyError, psycopg.Error) as error:
            if not _passes(error):
                raise
            log.warning("jobs wait for Postgres", error=type(error).__name__)
            beat.tick()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), _RECONNECT_SECONDS)
    health.forget(beat.name)


def _passes(error: BaseException) -> bool:
    cause = error.__cause__ if isinstance(error, ConnectorException) else error
    return cause is not None and transient(cause)


async def _work(deps: Deps, beat: Heartbeat, stopping: asyncio.Event) -> None:
    """One worker, until it or one of its chores fails, or ``stopping`` is set."""
    connector = PsycopgConnector(
        conninfo=deps.settings.postgres.url.get_secret_value(),
        kwargs={"options": f"-c search_path={JOBS_SCHEMA}"},
        min_size=1,
        max_size=sum(_JOBS_AT_ONCE.values()) + 1,
        timeout=_CONNECT_SECONDS,
    )
    app = App(connector=connector)
    register(app)
    async with app.open_async():
        tasks = [
            asyncio.ensure_future(work)
            for work in (
                stopping.wait(),
                _rescue(app, beat),
                _housekeeping(app, deps),
                *(_jobs(app, deps, queue) for queue in _JOBS_AT_ONCE),
            )
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            # A cancelled worker finishes the jobs under way first.
            await asyncio.wait(tasks)
        for task in done:
            task.result()


async def _jobs(app: App, deps: Deps, queue: str) -> None:
    await app.run_worker_async(
        queues=[queue],
        concurrency=_JOBS_AT_ONCE[queue],
        fetch_job_polling_interval=_POLL_SECONDS,
        shutdown_graceful_timeout=_GRACE_SECONDS,
        update_heartbeat_interval=HEARTBEAT_SECONDS,
        stalled_worker_timeout=DEAD_AFTER_SECONDS,
        install_signal_handlers=False,
        additional_context={DEPS: deps},
    )
    # It logs what ended it and returns; that is nearly always the database.
    log.warning("the job worker ended by itself and is started again", queue=queue)


async def _rescue(app: App, beat: Heartbeat) -> None:
    """Give the jobs of dead workers back to the queue."""
    while True:
        for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=DEAD_AFTER_SECONDS):
            log.warning("job of a dead worker starts again", job=job.id, task=job.task_name)
            await app.job_manager.retry_job(job)
        beat.tick()
        await asyncio.sleep(_RESCUE_SECONDS)


async def _housekeeping(app: App, deps: Deps) -> None:
    """Forget what is finished or expired, and fail what will never finish."""
    while True:
        async with deps.database.transaction() as session:
            await idempotency.purge(session)
        await trainings.fail_overdue(deps.database, deps.settings.quotas)
        await app.job_manager.delete_old_jobs(
            nb_hours=_KEEP_FINISHED_HOURS, include_failed=True, include_cancelled=True, include_aborted=True
        )
        await asyncio.sleep(_HOUSEKEEPING_SECONDS)
