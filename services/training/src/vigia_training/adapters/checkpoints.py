"""Where checkpoints lie: beside the artifact in the object store, or in a folder of a training on local files.

A job's lie in the store, not on the worker's disk: after a worker's death Kafka gives its job to another worker where
there is one, and a container's disk may be gone with it. They are sealed as the artifact is, one object for each thing
that is learnt, replaced each time, and they go when the job has ended, or with the model version's folder.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from vigia_contracts.training import TrainingRequest
from vigia_runtime.objects import ObjectNotFound, ObjectStore
from vigia_runtime.sealing import Seal
from vigia_training.adapters.records import job_key


class ObjectCheckpoints:
    """``<artifact prefix>/jobs/<digest of the request>/<name>``. For threads other than the loop's."""

    def __init__(self, store: ObjectStore, request: TrainingRequest, loop: asyncio.AbstractEventLoop) -> None:
        self._store, self._request, self._loop = store, request, loop

    def get(self, name: str) -> bytes | None:
        """The object's bytes, None where there is none."""
        place = (self._request.artifact_prefix.bucket, self._key(name))
        try:
            return asyncio.run_coroutine_threadsafe(self._store.get(*place), self._loop).result()
        except ObjectNotFound:
            return None

    def put(self, name: str, data: bytes) -> None:
        """Replaces the object."""
        place = (self._request.artifact_prefix.bucket, self._key(name), data)
        seal = Seal(self._request.account_id, self._request.kms_key_id)
        coroutine = self._store.put(*place, "application/octet-stream", seal)
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def _key(self, name: str) -> str:
        return job_key(self._request, f"/{name.replace(' ', '-')}")


class FolderCheckpoints:
    """A file for each name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, name: str) -> bytes | None:
        """The file's bytes, None where there is none."""
        file = self._folder / name.replace(" ", "-")
        return file.read_bytes() if file.is_file() else None

    def put(self, name: str, data: bytes) -> None:
        """Replaces the file."""
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._folder / name.replace(" ", "-")
        part = file.with_suffix(".part")
        part.write_bytes(data)
        part.replace(file)

    def clear(self) -> None:
        """Removes the folder."""
        shutil.rmtree(self._folder, ignore_errors=True)
