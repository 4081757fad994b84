"""What a training reads from the object store, and what it leaves there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from vigia_contracts.base import ObjectRef
from vigia_contracts.training import TrainingRequest
from vigia_runtime.errors import AccessDenied, NotFound
from vigia_runtime.objects import ObjectStore
from vigia_runtime.sealing import Seal, UnknownKey
from vigia_training.adapters.records import under
from vigia_training.app.train import Result, Task
from vigia_training.domain.dataset import split_uri
from vigia_training.domain.errors import BadData
from vigia_vision.artifact import MANIFEST_FILE

_TYPES = {".json": "application/json", ".html": "text/html; charset=utf-8", ".jpg": "image/jpeg", ".png": "image/png"}


def reader(store: ObjectStore, loop: asyncio.AbstractEventLoop) -> Callable[[str], bytes]:
    """A reader for threads other than the loop's. BadData for an object that is missing or may not be read."""

    def read(uri: str) -> bytes:
        bucket, key = split_uri(uri)
        try:
            return asyncio.run_coroutine_threadsafe(store.get(bucket, key), loop).result()
        except NotFound as error:
            raise BadData(f"{uri}: it does not exist") from error
        except AccessDenied as error:
            raise BadData(f"{uri}: it may not be read") from error

    return read


async def task_of(store: ObjectStore, request: TrainingRequest) -> Task:
    """Reads the job's manifest snapshots."""

    async def fetch(ref: ObjectRef) -> bytes:
        try:
            return await store.get(ref.bucket, ref.key, ref.version_id)
        except (NotFound, AccessDenied) as error:
            raise BadData(error.message) from error

    return Task(
        arn=request.model_arn,
        project=request.project,
        version=request.model_version,
        training_manifest=await fetch(request.training_manifest),
        test_manifest=None if request.test_manifest is None else await fetch(request.test_manifest),
        seed=request.seed,
    )


async def store_result(
    store: ObjectStore, request: TrainingRequest, result: Result
) -> tuple[ObjectRef, ObjectRef, ObjectRef]:
    """Writes artifact (sealed) and evaluation (for the customer to read, as the output bucket keeps it).

    References to manifest.json, evaluation manifest, evaluation result. BadData.
    """
    home, output = request.artifact_prefix, request.output
    seal = Seal(request.account_id, request.kms_key_id)
    try:
        store.check(seal)
    except UnknownKey as error:
        raise BadData(error.message) from error
    manifest: ObjectRef | None = None
    for name, content in result.artifact.all_files().items():
        kind = _TYPES.get(name[name.rfind(".") :], "application/octet-stream")
        ref = await store.put(home.bucket, under(home.prefix, f"{result.artifact.folder}/{name}"), content, kind, seal)
        manifest = ref if name == MANIFEST_FILE else manifest
    assert manifest is not None
    refs = []
    for name, content in result.evaluation_files(f"{request.project}-{request.model_version}").items():
        kind = _TYPES[name[name.rfind(".") :]]
        try:
            refs.append(await store.put(output.bucket, under(output.prefix, name), content, kind))
        except (NotFound, AccessDenied) as error:
            raise BadData(f"the output cannot be written: {error.message}") from error
    return manifest, refs[0], refs[1]
