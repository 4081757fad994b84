"""How long evidence and large frames are kept. Every other bucket keeps what it has until its owner is deleted."""

from __future__ import annotations

from datetime import datetime, timedelta

from vigia_registry.bootstrap import Deps
from vigia_runtime import metrics
from vigia_runtime.errors import AppError, Transient
from vigia_runtime.logging import get_logger
from vigia_runtime.objects import ObjectStore

log = get_logger(__name__)

#: The most that S3 lists and deletes by one request.
PAGE = 1000


async def run(deps: Deps, now: datetime) -> None:
    """Delete what both buckets held long enough. A bucket that fails is tried again with the next run."""
    buckets, settings = deps.settings.buckets, deps.settings.retention
    for bucket, kept in (
        (buckets.frames, timedelta(hours=settings.frames_hours)),
        (buckets.evidence, timedelta(days=settings.evidence_days)),
    ):
        try:
            deleted = await expire(deps.objects, bucket, now - kept)
        except (Transient, AppError) as error:
            log.warning("old objects stay until the next run", bucket=bucket, error=str(error))
        else:
            log.info("old objects deleted", bucket=bucket, objects=deleted, kept_seconds=kept.total_seconds())


async def expire(objects: ObjectStore, bucket: str, before: datetime, page: int = PAGE) -> int:
    """Delete the objects last written before that time; their number. Holds one page in memory, safe to repeat."""
    deleted = 0
    async for infos in objects.pages(bucket, page):
        old = [info.key for info in infos if info.last_modified < before]
        await objects.delete_many(bucket, old)
        metrics.OBJECTS_EXPIRED.labels(bucket).inc(len(old))
        deleted += len(old)
    return deleted
