"""The process that does the jobs."""

from __future__ import annotations

import asyncio
from typing import Final

from procrastinate import App, PsycopgConnector

from vigia_registry.bootstrap import Deps
from vigia_registry.idempotency import service as idempotency
from vigia_registry.jobs.queue import JOBS_SCHEMA
from vigia_registry.jobs.tasks import DEPS, register
from vigia_registry.models import trainings
from vigia_runtime.health import Health
from vigia_runtime.logging import get_logger

log = get_logger(__name__)

#: A worker shows that it lives this often, and counts as dead after this long; then its jobs start again.
HEARTBEAT_SECONDS: Final = 2.0
DEAD_AFTER_SECONDS: Final = 10.0
_RESCUE_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 1.0
_JOBS_AT_ONCE: Final = 4
#: A stop waits this long for jobs under way; then they are cancelled and another worker starts them again.
_GRACE_SECONDS: Final = 15.0
_KEEP_FINISHED_HOURS: Final = 24
_HOUSEKEEPING_SECONDS: Final = 600.0


async def run(deps: Deps, health: Health, stopping: asyncio.Event) -> None:
    """Do jobs until ``stopping`` is set. Errors of the database that outlast procrastinate's patience propagate."""
    connector = PsycopgConnector(
        conninfo=deps.settings.postgres.url.get_secret_value(),
        kwargs={"options": f"-c search_path={JOBS_SCHEMA}"},
        min_size=1,
        max_size=_JOBS_AT_ONCE,
    )
    app = App(connector=connector)
    register(app)
    async with app.open_async(), asyncio.TaskGroup() as group:
        chores = [
            group.create_task(_rescue(app, health)),
            group.create_task(_housekeeping(app, deps)),
        ]
        work = asyncio.ensure_future(
            app.run_worker_async(
                concurrency=_JOBS_AT_ONCE,
                fetch_job_polling_interval=_POLL_SECONDS,
                shutdown_graceful_timeout=_GRACE_SECONDS,
                update_heartbeat_interval=HEARTBEAT_SECONDS,
                stalled_worker_timeout=DEAD_AFTER_SECONDS,
                install_signal_handlers=False,
                additional_context={DEPS: deps},
            )
        )
        stop = asyncio.ensure_future(stopping.wait())
        await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
        for task in (stop, *chores):
            task.cancel()
        await _finish(work, stopping)


async def _finish(work: asyncio.Future[None], stopping: asyncio.Event) -> None:
    if not work.done():
        work.cancel()
    try:
        await work
    except asyncio.CancelledError:
        return
    if not stopping.is_set():
        raise RuntimeError("the job worker ended by itself")


async def _rescue(app: App, health: Health) -> None:
    """Give the jobs of dead workers back to the queue."""
    beat = health.heartbeat("job rescue", 60)
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
        await trainings.fail_overdue(deps.database)
        await app.job_manager.delete_old_jobs(
            nb_hours=_KEEP_FINISHED_HOURS, include_failed=True, include_cancelled=True, include_aborted=True
        )
        await asyncio.sleep(_HOUSEKEEPING_SECONDS)
