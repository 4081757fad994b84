"""One job: counts attempts, has it trained, publishes how it ended. However often it comes, it has one effect."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from pydantic import Field

from vigia_contracts.base import Payload
from vigia_contracts.training import (
    TrainingCompleted,
    TrainingFailed,
    TrainingProgress,
    TrainingRequest,
    TrainingStarted,
)
from vigia_training.domain.progress import Moment

Outcome = TrainingCompleted | TrainingFailed
Announcement = Outcome | TrainingStarted | TrainingProgress


class JobRecord(Payload):
    """What is known of a job across crashes. ``attempts``: how often it was begun; one outcome once it has ended."""

    attempts: int = Field(default=0, ge=0)
    completed: TrainingCompleted | None = None
    failed: TrainingFailed | None = None

    @property
    def outcome(self) -> Outcome | None:
        return self.completed or self.failed


class Records(Protocol):
    """Keeps job records. A request that comes again, byte for byte, is the same job."""

    async def load(self, request: TrainingRequest) -> JobRecord: ...

    async def save(self, request: TrainingRequest, record: JobRecord) -> None: ...

    async def tidy(self, request: TrainingRequest) -> None:
        """Removes what attempts at the job left for later ones. Only once its outcome is saved."""


class Crashed(Exception):  # noqa: N818 - an event, told apart from errors of the data
    """The training's process ended without an outcome (killed, out of memory, a bug)."""


class Trainer(Protocol):
    """Trains in a process of its own and stores the result.

    Raises BadData, Crashed, or Transient when the object store does not answer. Cancelling ends the process.
    """

    async def train(
        self, request: TrainingRequest, attempt: int, tell: Callable[[Moment], Awaitable[None]]
    ) -> Outcome: ...


@dataclass(frozen=True, slots=True)
class Jobs:
    """Runs jobs. ``publish`` returns when the announcement is durable."""

    records: Records
    trainer: Trainer
    publish: Callable[[Announcement], Awaitable[None]]
    worker: str
    max_attempts: int

    async def run(self, request: TrainingRequest) -> Outcome:
        """Brings the job to its end and publishes it; one that has ended before is only published again.

        An attempt is counted before it begins, so that one which takes this very process down counts too. One that
        ends because this process is told to stop, or the store does not answer, does not count.
        """
        record = await self.records.load(request)
        while record.outcome is None:
            if record.attempts >= self.max_attempts:
                record = await self._end(request, record, self._gave_up(request, record.attempts))
                continue
            record = JobRecord(attempts=record.attempts + 1)
            await self.records.save(request, record)
            record = await self._attempt(request, record)
        await self.records.tidy(request)
        await self.publish(record.outcome)
        return record.outcome

    async def _attempt(self, request: TrainingRequest, record: JobRecord) -> JobRecord:
        attempt = record.attempts
        arn = request.model_arn

        async def tell(moment: Moment) -> None:
            await self.publish(
                TrainingProgress(
                    model_arn=arn,
                    attempt=attempt,
                    stage=moment.stage,
                    fraction=moment.fraction,
                    remaining_seconds=moment.remaining,
                    at=datetime.now(UTC),
                )
            )

        ended = False
        try:
            await self.publish(
                TrainingStarted(model_arn=arn, attempt=attempt, worker=self.worker, started_at=datetime.now(UTC))
            )
            outcome = await self.trainer.train(request, attempt, tell)
            ended = True
        except Crashed:
            ended = True
            return record
        finally:
            if not ended:
                await self.records.save(request, JobRecord(attempts=attempt - 1))
        return await self._end(request, record, outcome)

    async def _end(self, request: TrainingRequest, record: JobRecord, outcome: Outcome) -> JobRecord:
        done = isinstance(outcome, TrainingCompleted)
        record = JobRecord(
            attempts=record.attempts,
            completed=outcome if isinstance(outcome, TrainingCompleted) else None,
            failed=None if done else outcome,
        )
        await self.records.save(request, record)
        return record

    @staticmethod
    def _gave_up(request: TrainingRequest, attempts: int) -> TrainingFailed:
        return TrainingFailed(
            model_arn=request.model_arn,
            attempt=attempts,
            code="failed",
            message=f"the training ended without a result {attempts} times",
            failed_at=datetime.now(UTC),
        )
