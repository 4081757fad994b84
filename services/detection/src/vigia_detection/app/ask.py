"""From an image to what a model says of it: prepare, ask, read the outputs. Every door asks this way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from vigia_contracts.deployments import Deployment
from vigia_contracts.inspections import InvalidCause
from vigia_detection.app.clock import Deadline, Stopwatch
from vigia_detection.app.errors import ModelAway, ModelBusy, ModelFailed, ModelLate, NotHosted
from vigia_detection.app.ports import Clock, ModelServers, Outputs, Vision
from vigia_detection.domain.outcome import Invalid
from vigia_runtime import metrics
from vigia_vision.decode import DEFAULT_LIMITS, DecodeError, Limits
from vigia_vision.manifest import Manifest
from vigia_vision.prepare import Prepared, WrongSize

#: Seconds between two tries while no model server can be reached: doubled from the first to the last.
_FIRST_PAUSE: Final = 0.05
_LAST_PAUSE: Final = 0.5
#: Seconds between two looks for a version that is about to be announced.
_LOOK: Final = 0.05

_DECODE_CAUSES: Final = {"too_large": InvalidCause.TOO_LARGE, "shape": InvalidCause.WRONG_SIZE}

T = TypeVar("T")


@dataclass(frozen=True)
class Reading(Generic[T]):
    """What is wanted of a model: of one of these ``kinds``, what ``read`` makes of its outputs for an image of some
    width and height. ``others``: what models of other kinds do. ``read`` may raise ModelFailed. ``limits``: what images
    may be."""

    kinds: frozenset[str]
    others: str
    read: Callable[[Outputs, Deployment, Manifest, tuple[int, int]], Awaitable[T]]
    limits: Limits = DEFAULT_LIMITS


@dataclass(frozen=True)
class Asked(Generic[T]):
    """What was read, or why nothing was, and what it came from. ``deployment`` is None where nothing was hosted."""

    outcome: T | Invalid
    deployment: Deployment | None = None
    manifest: Manifest | None = None


class Asker:
    """Puts images to models. A model server that is away is waited for as long as the image's deadline allows."""

    def __init__(self, models: ModelServers, vision: Vision, clock: Clock) -> None:
        self._models = models
        self._vision = vision
        self._clock = clock

    async def ask(
        self,
        image: bytes,
        hosted: Callable[[], Deployment | None],
        wanted: Reading[T],
        deadline: Deadline,
        watch: Stopwatch,
        *,
        insist: bool = False,
    ) -> Asked[T]:
        """What is read of ``image``; never raises for what an image, a model or a model server can do.

        ``hosted`` is asked again before every try, so that a frame which waits for a server is judged by what is
        hosted when the server is back. A busy server is asked again only if ``insist`` is given, and only while half
        of the time is left: the other half belongs to the frames behind.
        """
        patience = deadline.remaining() / 2
        ready: tuple[Manifest, Prepared] | None = None
        pause = _FIRST_PAUSE
        while True:
            deployment = hosted()
            if deployment is None:
                return Asked(Invalid(InvalidCause.NO_MODEL, "no model version is hosted"))
            try:
                manifest = self._vision.manifest(deployment)
                if manifest.kind not in wanted.kinds:
                    raise ModelFailed(f"a model of the kind {manifest.kind} {wanted.others}")
                if ready is None or ready[0] is not manifest:
                    with watch.stage("decode"):
                        ready = (manifest, await self._vision.prepare(image, manifest, wanted.limits))
                outcome = await self._infer(ready[1], deployment, manifest, wanted, deadline, watch)
                return Asked(outcome, deployment, manifest)
            except DecodeError as error:
                cause = _DECODE_CAUSES.get(error.code, InvalidCause.UNDECODABLE)
                return Asked(Invalid(cause, str(error)), deployment)
            except WrongSize as error:
                return Asked(Invalid(InvalidCause.WRONG_SIZE, str(error), error.width, error.height), deployment)
            except ModelAway as error:
                left = deadline.remaining()
                if left <= 0:
                    detail = f"no model server within the budget: {error}"
                    return Asked(Invalid(InvalidCause.LATE, detail), deployment)
            except ModelBusy as error:
                left = deadline.remaining()
                if not insist or left < patience:
                    return Asked(Invalid(InvalidCause.OVERLOADED, str(error)), deployment)
            except ModelLate as error:
                return Asked(Invalid(InvalidCause.LATE, str(error)), deployment)
            except ModelFailed as error:
                return Asked(Invalid(InvalidCause.MODEL_ERROR, str(error)), deployment)
            metrics.MODEL_SERVER_WAITS.inc()
            with watch.stage("wait"):
                await self._clock.sleep(min(pause, max(left, 0.0)))
            pause = min(2 * pause, _LAST_PAUSE)

    async def _infer(
        self,
        prepared: Prepared,
        deployment: Deployment,
        manifest: Manifest,
        wanted: Reading[T],
        deadline: Deadline,
        watch: Stopwatch,
    ) -> T:
        left = deadline.remaining()
        if left <= 0:
            raise ModelLate("the budget was spent before the model could be asked")
        with watch.stage("infer"):
            outputs = await self._models.infer(deployment.triton_model, manifest, prepared.tensor, left)
        with watch.stage("interpret"):
            return await wanted.read(outputs, deployment, manifest, (prepared.width, prepared.height))


async def announced(find: Callable[[], Deployment | None], clock: Clock, seconds: float) -> Deployment:
    """What ``find`` finds within ``seconds``, else NotHosted: an SDK may ask the moment a version is said to serve."""
    deadline = Deadline(clock, seconds)
    while True:
        found = find()
        if found is not None:
            return found
        if deadline.remaining() <= 0:
            raise NotHosted
        await clock.sleep(_LOOK)
