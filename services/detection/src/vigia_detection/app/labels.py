"""An image by request in, the labels in it out: DetectCustomLabels.

A label model gives no verdict on a part, so nothing of this becomes an inspection, and no image is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, get_args

from vigia_contracts.base import ObjectRef
from vigia_contracts.deployments import Deployment
from vigia_detection.app.ask import Asker, Reading, announced
from vigia_detection.app.clock import Deadline, Stopwatch
from vigia_detection.app.errors import ImageGone, NotJudged
from vigia_detection.app.ports import Clock, Deployments, FrameStore, Outputs, Vision
from vigia_detection.domain.labels import Label, Wish, told
from vigia_detection.domain.outcome import Invalid
from vigia_detection.domain.versions import Version
from vigia_runtime import metrics
from vigia_runtime.errors import AccessDenied
from vigia_runtime.sealing import SealError
from vigia_vision.decode import Limits
from vigia_vision.find import Finding
from vigia_vision.manifest import LabelKind, Manifest

_SERVICE: Final = "detection"
_KINDS: Final = frozenset(get_args(LabelKind))

Permit = Callable[[Deployment], None]


@dataclass(frozen=True, slots=True)
class LabelRequest:
    """Which version is asked for which labels of which image, its bytes or where they lie."""

    version: Version
    image: bytes | ObjectRef
    wish: Wish


@dataclass(frozen=True, slots=True)
class LabelPolicy:
    """``announce_seconds``: how long a version just hosted may take to become known here. ``budget_seconds``: from the
    request to its answer. ``limits``: what images may be."""

    announce_seconds: float
    budget_seconds: float
    limits: Limits


class DetectCustomLabels:
    """The request's use case."""

    def __init__(
        self,
        *,
        deployments: Deployments,
        asker: Asker,
        vision: Vision,
        images: FrameStore,
        clock: Clock,
        policy: LabelPolicy,
    ) -> None:
        self._deployments = deployments
        self._asker = asker
        self._vision = vision
        self._images = images
        self._clock = clock
        self._policy = policy

    async def __call__(self, request: LabelRequest, permit: Permit) -> tuple[Label, ...]:
        """The labels found. ``permit`` raises where the caller may not use the version, or not read the image.

        NotHosted; NotJudged; ImageGone, ImageTooLarge and Transient of an image in the object store.
        """
        watch = Stopwatch(self._clock)

        def hosted() -> Deployment | None:
            return self.hosted(request.version)

        async def read(
            outputs: Outputs, deployment: Deployment, manifest: Manifest, size: tuple[int, int]
        ) -> tuple[Finding, ...]:
            everything = request.wish.min_confidence is not None
            return await self._vision.find(outputs, manifest, size, 0.0 if everything else None)

        permit(await announced(hosted, self._clock, self._policy.announce_seconds))
        deadline = Deadline(self._clock, self._policy.budget_seconds)
        image = request.image
        if isinstance(image, ObjectRef):
            with watch.stage("fetch"):
                image = await self._fetched(image)
        wanted = Reading(_KINDS, "judges images; it gives no labels", read, self._policy.limits)
        outcome = (await self._asker.ask(image, hosted, wanted, deadline, watch)).outcome
        if isinstance(outcome, Invalid):
            _count(outcome.cause.value, watch)
            raise NotJudged(outcome.cause, outcome.detail)
        labels = told(outcome, request.wish)
        _count("found" if labels else "nothing", watch)
        return labels

    async def _fetched(self, reference: ObjectRef) -> bytes:
        try:
            return await self._images.fetch(reference)
        except (AccessDenied, SealError) as error:
            # To the caller, what Vigia may not read or cannot open is an object that it cannot have.
            raise ImageGone(error.message) from error

    def hosted(self, version: Version) -> Deployment | None:
        """What serves that version, if anything does."""
        found = self._deployments.get(version.arn)
        return found if found is not None and found.state == "serving" else None


def _count(outcome: str, watch: Stopwatch) -> None:
    metrics.LABEL_IMAGES.labels(outcome).inc()
    for stage, seconds in {**watch.seconds, "total": watch.elapsed()}.items():
        metrics.STAGE_SECONDS.labels(_SERVICE, stage).observe(seconds)
