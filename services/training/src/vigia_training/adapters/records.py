"""Job records as small objects beside the artifact: they go when the model version's folder goes."""

from __future__ import annotations

import hashlib

from vigia_contracts.training import TrainingRequest
from vigia_runtime.objects import ObjectNotFound, ObjectStore
from vigia_runtime.sealing import Seal
from vigia_training.app.job import JobRecord


class ObjectRecords:
    """``<artifact prefix>/jobs/<digest of the request>.json``, and below the same name what attempts leave there."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def load(self, request: TrainingRequest) -> JobRecord:
        """The job's record, an empty one where there is none."""
        try:
            data = await self._store.get(request.artifact_prefix.bucket, job_key(request, ".json"))
        except ObjectNotFound:
            return JobRecord()
        return JobRecord.model_validate_json(data)

    async def tidy(self, request: TrainingRequest) -> None:
        """Removes the checkpoints of a job that has ended."""
        bucket = request.artifact_prefix.bucket
        left = await self._store.list(bucket, job_key(request, "/"))
        if left:
            await self._store.delete_many(bucket, [item.key for item in left])

    async def save(self, request: TrainingRequest, record: JobRecord) -> None:
        """Replaces the job's record."""
        seal = Seal(request.account_id)
        await self._store.put(
            request.artifact_prefix.bucket, job_key(request, ".json"), record.to_json(), "application/json", seal
        )


def job_key(request: TrainingRequest, end: str) -> str:
    """The key of something of this job's; a request that comes again, byte for byte, is the same job."""
    digest = hashlib.sha256(request.to_json()).hexdigest()
    return under(request.artifact_prefix.prefix, f"jobs/{digest[:16]}{end}")


def under(prefix: str, name: str) -> str:
    """``name`` below ``prefix``, with one slash between."""
    return f"{prefix.rstrip('/')}/{name}" if prefix.strip("/") else name
