"""What a training reads from the object store, and what it leaves there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from vigia_contracts.base import ObjectRef
from vigia_contracts.training import ManifestChecks, TrainingRequest
from vigia_runtime.errors import AccessDenied, NotFound
from vigia_runtime.objects import ObjectStore
from vigia_runtime.sealing import Seal, UnknownKey
from vigia_training.adapters.records import under
from vigia_training.app.train import Result, Task
from vigia_training.app.validation import CheckFiles
from vigia_training.domain.dataset import split_uri
from vigia_training.domain.errors import BadData, Unreadable
from vigia_training.domain.given import NO_ACCESS, NO_OUTPUT, TOO_LARGE, UNREADABLE, ManifestLimits
from vigia_vision.artifact import MANIFEST_FILE

_TYPES = {".json": "application/json", ".html": "text/html; charset=utf-8", ".jpg": "image/jpeg", ".png": "image/png"}
#: Lines are written so many bytes at a time.
_CHUNK = 512 * 1024


@dataclass(frozen=True, slots=True)
class Stored:
    """Where the artifact's manifest.json and the evaluation lie; ``training_snapshot`` where there is one."""

    artifact: ObjectRef
    evaluation_manifest: ObjectRef
    evaluation_result: ObjectRef
    training_snapshot: ObjectRef | None


def reader(
    store: ObjectStore, loop: asyncio.AbstractEventLoop, most_bytes: int | None = None
) -> Callable[[str], bytes]:
    """A reader for threads other than the loop's.

    Unreadable for an object that is missing, that may not be read, or that has more than ``most_bytes``.
    """

    def read(uri: str) -> bytes:
        bucket, key = split_uri(uri)
        try:
            content = store.get(bucket, key) if most_bytes is None else _bounded(store, bucket, key, most_bytes)
            return asyncio.run_coroutine_threadsafe(content, loop).result()
        except NotFound as error:
            raise Unreadable(f"{uri}: it does not exist") from error
        except AccessDenied as error:
            raise Unreadable(f"{uri}: it may not be read", denied=True) from error

    return read


async def _bounded(store: ObjectStore, bucket: str, key: str, most: int) -> bytes:
    """The object's bytes; of one with more than ``most`` no more than it takes to see that."""
    data = bytearray()
    async with aclosing(store.get_stream(bucket, key)) as chunks:
        async for chunk in chunks:
            data += chunk
            if len(data) > most:
                raise BadData(f"s3://{bucket}/{key}: it has more than {most} bytes")
    return bytes(data)


async def task_of(store: ObjectStore, request: TrainingRequest, limits: ManifestLimits, folder: Path) -> Task:
    """Reads the job's manifest snapshots, into files below ``folder``.

    BadData says in Custom Labels' words why one cannot be read.
    """
    custom = request.service == "rekognition"

    async def fetch(ref: ObjectRef, file: Path) -> Path:
        size = 0
        try:
            async with aclosing(store.get_stream(ref.bucket, ref.key, version_id=ref.version_id)) as chunks:
                with file.open("wb") as out:
                    async for chunk in chunks:
                        size += len(chunk)
                        if custom and size > limits.manifest_bytes:
                            raise BadData(TOO_LARGE)
                        out.write(chunk)
            return file
        except NotFound as error:
            raise BadData(UNREADABLE if custom else error.message) from error
        except AccessDenied as error:
            raise BadData(NO_ACCESS if custom else error.message) from error

    if custom:
        await _check_output(store, request)
    return Task(
        arn=request.model_arn,
        project=request.project,
        version=request.model_version,
        training_manifest=await fetch(request.training_manifest, folder / "training.manifest"),
        test_manifest=(
            None if request.test_manifest is None else await fetch(request.test_manifest, folder / "test.manifest")
        ),
        seed=request.seed,
    )


async def _check_output(store: ObjectStore, request: TrainingRequest) -> None:
    """BadData where nothing could be written, before there is anything to write."""
    try:
        there = await store.bucket_exists(request.output.bucket)
    except AccessDenied:
        there = False
    if not there:
        raise BadData(NO_OUTPUT)


async def store_checks(store: ObjectStore, request: TrainingRequest, files: CheckFiles) -> ManifestChecks:
    """Writes what came of checking a Custom Labels training's manifests, for the customer to read. BadData."""
    summary, training, testing = await _write(store, request, files.named(_name(request)))
    return ManifestChecks(summary=summary, training=training, testing=testing)


async def store_result(store: ObjectStore, request: TrainingRequest, result: Result) -> Stored:
    """Writes artifact (sealed) and evaluation (for the customer to read, as the output bucket keeps it). BadData."""
    home = request.artifact_prefix
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
    refs = await _write(store, request, result.evaluation_files(_name(request)))
    return Stored(manifest, refs[0], refs[1], None if result.training_snapshot is None else refs[2])


async def _write(
    store: ObjectStore, request: TrainingRequest, files: Mapping[str, bytes | Callable[[], Iterator[bytes]]]
) -> list[ObjectRef]:
    """Files of the customer's, where they are wanted: their bytes, or their lines. BadData."""
    output, refs = request.output, []
    for name, content in files.items():
        kind, key = _TYPES[name[name.rfind(".") :]], under(output.prefix, name)
        try:
            if isinstance(content, bytes):
                refs.append(await store.put(output.bucket, key, content, kind))
            else:
                refs.append(await store.put_stream(output.bucket, key, _joined(content()), kind))
        except (NotFound, AccessDenied) as error:
            custom = request.service == "rekognition"
            raise BadData(NO_OUTPUT if custom else f"the output cannot be written: {error.message}") from error
    return refs


async def _joined(lines: Iterator[bytes]) -> AsyncIterator[bytes]:
    chunk = bytearray()
    for line in lines:
        chunk += line
        if len(chunk) >= _CHUNK:
            yield bytes(chunk)
            chunk.clear()
    yield bytes(chunk)


def _name(request: TrainingRequest) -> str:
    """What the names of the customer's files end with."""
    return f"{request.project}-{request.model_version}"
