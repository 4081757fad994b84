"""``vigia_vision`` in threads: decoding and drawing must not hold up the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pydantic import ValidationError

from vigia_contracts.deployments import Deployment
from vigia_detection.app.errors import ModelFailed
from vigia_detection.app.ports import Outputs
from vigia_vision.decode import Limits
from vigia_vision.find import Finding, find
from vigia_vision.interpret import Answer, BadOutput, interpret, mask_png
from vigia_vision.manifest import Manifest
from vigia_vision.prepare import Prepared, prepare

T = TypeVar("T")

#: Manifests kept parsed; a plant serves a few versions at a time.
_MANIFESTS = 256


class VisionThreads:
    """At most ``threads`` images are decoded at once, which bounds the memory of their pixels."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="vision")
        self._manifests: dict[str, tuple[dict[str, object], Manifest]] = {}

    def close(self) -> None:
        """Let the threads end; what waits is dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def manifest(self, deployment: Deployment) -> Manifest:
        """The deployment's manifest, the same object while its content is the same; ModelFailed if it is none."""
        known = self._manifests.get(deployment.model_arn)
        if known is not None and known[0] == deployment.manifest:
            return known[1]
        try:
            manifest = Manifest.model_validate(deployment.manifest)
        except ValidationError as error:
            raise ModelFailed(f"the deployment's manifest is unusable: {error.error_count()} problems") from error
        if len(self._manifests) >= _MANIFESTS:
            self._manifests.clear()
        self._manifests[deployment.model_arn] = (deployment.manifest, manifest)
        return manifest

    async def prepare(self, image: bytes, manifest: Manifest, limits: Limits) -> Prepared:
        """Decode and resize what keeps ``limits``; DecodeError, WrongSize."""
        return await self._run(lambda: prepare(image, manifest, limits))

    async def interpret(
        self, outputs: Outputs, deployment: Deployment, manifest: Manifest, size: tuple[int, int]
    ) -> Answer:
        """The answer by the deployment's threshold record; ModelFailed when the numbers break the manifest."""
        width, height = size
        try:
            return await self._run(lambda: interpret(outputs, manifest, deployment.threshold.value, width, height))
        except BadOutput as error:
            raise ModelFailed(str(error)) from error

    async def find(
        self, outputs: Outputs, manifest: Manifest, size: tuple[int, int], min_confidence: float | None
    ) -> tuple[Finding, ...]:
        """The labels, surest first; ModelFailed when the numbers break the manifest."""
        try:
            return await self._run(lambda: find(outputs, manifest, *size, min_confidence))
        except BadOutput as error:
            raise ModelFailed(str(error)) from error

    async def mask(self, answer: Answer, manifest: Manifest) -> bytes | None:
        """The answer's mask as PNG, None where the model draws none."""
        return await self._run(lambda: mask_png(answer, manifest))

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)
