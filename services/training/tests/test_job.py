"""However often a job comes and whatever ends its process, it has one effect."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest

from vigia_contracts.base import ObjectRef
from vigia_contracts.training import (
    ModelMetrics,
    OutputLocation,
    TrainingCompleted,
    TrainingFailed,
    TrainingRequest,
    TrainingStarted,
)
from vigia_runtime.errors import Transient
from vigia_training.app.job import Announcement, Crashed, JobRecord, Jobs, Outcome
from vigia_training.domain.progress import Moment

REF = ObjectRef(bucket="b", key="k")
REQUEST = TrainingRequest(
    model_arn="arn:m",
    account_id="1",
    region="r",
    project="p",
    model_version="1",
    training_manifest=REF,
    output=OutputLocation(bucket="b"),
    artifact_prefix=OutputLocation(bucket="b", prefix="x"),
    requested_at=datetime(2026, 1, 1, tzinfo=UTC),
)
METRICS = ModelMetrics(precision=1, recall=1, f1=1, roc_auc=1, average_precision=1, training_images=1, test_images=1)


class Kept:
    """Job records that outlive the jobs' process."""

    def __init__(self) -> None:
        self.record = JobRecord()
        self.tidied = False

    async def load(self, request: TrainingRequest) -> JobRecord:
        return self.record

    async def save(self, request: TrainingRequest, record: JobRecord) -> None:
        self.record = record

    async def tidy(self, request: TrainingRequest) -> None:
        assert self.record.outcome is not None
        self.tidied = True


class Scripted:
    """A trainer whose attempts end as told: an exception, or None for a result."""

    def __init__(self, *ends: BaseException | None) -> None:
        self.ends = list(ends)
        self.attempts: list[int] = []

    async def train(self, request: TrainingRequest, attempt: int, tell: Callable[[Moment], Awaitable[None]]) -> Outcome:
        self.attempts.append(attempt)
        end = self.ends.pop(0)
        if end is not None:
            raise end
        return TrainingCompleted(
            model_arn=request.model_arn,
            attempt=attempt,
            artifact=REF,
            manifest={},
            metrics=METRICS,
            evaluation_manifest=REF,
            evaluation_result=REF,
            seconds=1,
            completed_at=datetime.now(UTC),
        )


def jobs(trainer: Scripted, records: Kept) -> tuple[Jobs, list[Announcement]]:
    published: list[Announcement] = []

    async def publish(announcement: Announcement) -> None:
        published.append(announcement)

    return Jobs(records, trainer, publish, "test", 3), published


async def test_a_job_that_comes_again_is_not_trained_again() -> None:
    records, trainer = Kept(), Scripted(None)
    runner, published = jobs(trainer, records)
    first = await runner.run(REQUEST)
    assert await runner.run(REQUEST) == first
    assert trainer.attempts == [1]
    assert records.tidied
    assert [type(p) for p in published] == [TrainingStarted, TrainingCompleted, TrainingCompleted]


async def test_crashes_are_counted_and_the_third_is_the_last() -> None:
    trainer = Scripted(Crashed(), Crashed(), Crashed())
    runner, published = jobs(trainer, Kept())
    outcome = await runner.run(REQUEST)
    assert isinstance(outcome, TrainingFailed)
    assert outcome.code == "failed"
    assert trainer.attempts == [1, 2, 3]
    assert published[-1] == outcome


async def test_attempts_of_workers_that_were_killed_count() -> None:
    records, trainer = Kept(), Scripted()
    records.record = JobRecord(attempts=3)
    runner, _ = jobs(trainer, records)
    assert isinstance(await runner.run(REQUEST), TrainingFailed)
    assert trainer.attempts == []


@pytest.mark.parametrize("end", [Transient("store"), asyncio.CancelledError()])
async def test_an_outage_or_a_stop_is_no_attempt(end: BaseException) -> None:
    records, trainer = Kept(), Scripted(Crashed(), end, None)
    runner, _ = jobs(trainer, records)
    with pytest.raises(type(end)):
        await runner.run(REQUEST)
    assert records.record.attempts == 1
    assert isinstance(await runner.run(REQUEST), TrainingCompleted)
    assert trainer.attempts == [1, 2, 2]
