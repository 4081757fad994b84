"""What the use cases need from the world. How it may refuse is in ``errors``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vigia_contracts.base import ObjectRef
from vigia_contracts.cameras import Camera
from vigia_contracts.deployments import Deployment
from vigia_contracts.events import Event
from vigia_contracts.inspections import Inspection
from vigia_vision.decode import Limits
from vigia_vision.find import Finding
from vigia_vision.interpret import Answer
from vigia_vision.manifest import Manifest
from vigia_vision.prepare import Prepared

Pixels = NDArray[np.uint8]
Outputs = Mapping[str, NDArray[Any]]


class Cameras(Protocol):
    def get(self, camera_id: str) -> Camera | None:
        """The camera as last announced."""

    def items(self) -> Iterable[tuple[str, Camera]]:
        """All cameras, by id."""


class Deployments(Protocol):
    def get(self, key: str) -> Deployment | None:
        """What is hosted under a camera id or a model ARN."""

    def items(self) -> Iterable[tuple[str, Deployment]]:
        """Everything that is hosted, by key."""


class ModelServers(Protocol):
    async def infer(self, model: str, manifest: Manifest, tensor: Pixels, seconds: float) -> Outputs:
        """Ask ``model`` about one tensor [H,W,3]; the manifest's outputs without the batch axis.

        ModelFailed, ModelBusy, ModelAway, or ModelLate after ``seconds``.
        """


class Vision(Protocol):
    """``vigia_vision``, off the event loop."""

    def manifest(self, deployment: Deployment) -> Manifest:
        """The deployment's manifest; ModelFailed when it cannot be read."""

    async def prepare(self, image: bytes, manifest: Manifest, limits: Limits) -> Prepared:
        """Decode and resize what keeps ``limits``; DecodeError, WrongSize."""

    async def interpret(
        self, outputs: Outputs, deployment: Deployment, manifest: Manifest, size: tuple[int, int]
    ) -> Answer:
        """Read the outputs for an image of ``size`` (width, height); ModelFailed when they make no sense."""

    async def find(
        self, outputs: Outputs, manifest: Manifest, size: tuple[int, int], min_confidence: float | None
    ) -> tuple[Finding, ...]:
        """The labels of an image of ``size`` (width, height) from ``min_confidence`` (0..1) on, or without it from
        their own thresholds on, surest first; ModelFailed when the outputs make no sense."""

    async def mask(self, answer: Answer, manifest: Manifest) -> bytes | None:
        """The answer's mask as PNG, None where the model draws none."""


class FrameStore(Protocol):
    async def fetch(self, reference: ObjectRef) -> bytes:
        """A frame's image; ImageGone, ImageTooLarge, Transient."""


class EvidenceStore(Protocol):
    async def put(self, key: str, data: bytes, content_type: str, account_id: str) -> ObjectRef:
        """Store for good; Transient."""


class Announcer(Protocol):
    async def announce(
        self, inspection: Inspection, key: str | None, trace: Mapping[str, str], call: Event | None = None
    ) -> None:
        """Publish an inspection and, with it, the record of the call that led to it; returns when both are durable.

        Transient; then either may be durable, and a repeat has no second effect.
        """

    async def announce_call(self, call: Event) -> None:
        """Publish the record of a call that led to no inspection; returns when it is durable. Transient."""


class Clock(Protocol):
    def now(self) -> datetime:
        """The time of day, UTC: for what is written down."""

    def monotonic(self) -> float:
        """Seconds that never go back: for what is measured."""

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
