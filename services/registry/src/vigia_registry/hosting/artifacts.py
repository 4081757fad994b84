"""Artifacts from the object store, verified before anything is loaded."""

from __future__ import annotations

import asyncio
import hashlib

from vigia_contracts.base import ObjectRef
from vigia_runtime.errors import AppError
from vigia_runtime.objects import ObjectStore
from vigia_vision import Artifact, ArtifactError, GoldenSample
from vigia_vision.artifact import MANIFEST_FILE
from vigia_vision.manifest import Manifest


class UnusableArtifact(Exception):  # noqa: N818 - names what is wrong
    """The artifact is not there or not what its reference says; trying again cannot help."""


async def fetch(objects: ObjectStore, ref: ObjectRef) -> Artifact:
    """The artifact whose ``manifest.json`` is ``ref``. UnusableArtifact; Transient when the store does not answer."""
    folder = ref.key.removesuffix(MANIFEST_FILE)
    if ref.sha256 is None or folder == ref.key:
        raise UnusableArtifact(f"s3://{ref.bucket}/{ref.key} is no reference to a {MANIFEST_FILE} with its digest")
    try:
        body = await objects.get(ref.bucket, ref.key)
        if hashlib.sha256(body).hexdigest() != ref.sha256:
            raise UnusableArtifact(f"s3://{ref.bucket}/{ref.key} was changed after training")
        names = sorted(Manifest.model_validate_json(body).files)
        contents = await asyncio.gather(*(objects.get(ref.bucket, folder + name) for name in names))
        return await asyncio.to_thread(Artifact.load, {MANIFEST_FILE: body, **dict(zip(names, contents, strict=True))})
    except (AppError, ArtifactError) as error:
        raise UnusableArtifact(str(error)) from error
    except ValueError as error:  # a manifest that pydantic refuses
        raise UnusableArtifact(f"s3://{ref.bucket}/{ref.key} is no manifest: {error}") from error


async def golden_samples(artifact: Artifact) -> tuple[GoldenSample, ...]:
    """The artifact's golden samples, prepared; UnusableArtifact when there is none or one cannot be used."""
    try:
        samples = await asyncio.to_thread(lambda: tuple(artifact.golden_samples()))
    except (ValueError, OSError) as error:  # an image or array that cannot be read
        raise UnusableArtifact(f"a golden sample cannot be read: {error}") from error
    if not samples:
        raise UnusableArtifact("the artifact has no golden sample to check its answers with")
    for sample in samples:
        if "score" not in sample.expected or sample.expected["score"].size != 1:
            raise UnusableArtifact(f"golden sample {sample.file} has no score to compare with")
    return samples
