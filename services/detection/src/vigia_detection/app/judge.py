"""From an image to an outcome: prepare, ask the model, read its answer. Both doors judge this way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, get_args

from vigia_contracts.deployments import Deployment
from vigia_contracts.inspections import InvalidCause
from vigia_detection.app.clock import Deadline, Stopwatch
from vigia_detection.app.errors import ModelAway, ModelBusy, ModelFailed, ModelLate
from vigia_detection.app.ports import Clock, ModelServers, Vision
from vigia_detection.domain.outcome import Invalid, Judged, Outcome
from vigia_runtime import metrics
from vigia_vision.decode import DecodeError
from vigia_vision.manifest import AnomalyKind, Manifest
from vigia_vision.prepare import Prepared, WrongSize

#: Seconds between two tries while no model server can be reached: doubled from the first to the last.
_FIRST_PAUSE: Final = 0.05
_LAST_PAUSE: Final = 0.5

_DECODE_CAUSES: Final = {"too_large": InvalidCause.TOO_LARGE}


@dataclass(frozen=True, slots=True)
class Judgement:
    """An outcome and what made it. ``deployment`` is None where nothing was hosted."""

    outcome: Outcome
    deployment: Deployment | None = None
    manifest: Manifest | None = None


class Judge:
    """Judges images. A model server that is away is waited for as long as the image's deadline allows."""

    def __init__(self, models: ModelServers, vision: Vision, clock: Clock) -> None:
        self._models = models
        self._vision = vision
        self._clock = clock

    async def judge(
        self,
        image: bytes,
        hosted: Callable[[], Deployment | None],
        deadline: Deadline,
        watch: Stopwatch,
        *,
        insist: bool = False,
    ) -> Judgement:
        """The outcome for ``image``; never raises for what an image, a model or a model server can do.

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
                return Judgement(Invalid(InvalidCause.NO_MODEL, "no model version is hosted"))
            try:
                manifest = self._vision.manifest(deployment)
                if manifest.kind not in get_args(AnomalyKind):
                    raise ModelFailed(f"a model of the kind {manifest.kind} gives labels; it does not judge images")
                if ready is None or ready[0] is not manifest:
                    with watch.stage("decode"):
                        ready = (manifest, await self._vision.prepare(image, manifest))
                prepared = ready[1]
                outcome = await self._ask(prepared, deployment, manifest, deadline, watch)
                return Judgement(outcome, deployment, manifest)
            except DecodeError as error:
                cause = _DECODE_CAUSES.get(error.code, InvalidCause.UNDECODABLE)
                return Judgement(Invalid(cause, str(error)), deployment)
            except WrongSize as error:
                return Judgement(Invalid(InvalidCause.WRONG_SIZE, str(error), error.width, error.height), deployment)
            except ModelAway as error:
                left = deadline.remaining()
                if left <= 0:
                    detail = f"no model server within the budget: {error}"
                    return Judgement(Invalid(InvalidCause.LATE, detail), deployment)
            except ModelBusy as error:
                left = deadline.remaining()
                if not insist or left < patience:
                    return Judgement(Invalid(InvalidCause.OVERLOADED, str(error)), deployment)
            except ModelLate as error:
                return Judgement(Invalid(InvalidCause.LATE, str(error)), deployment)
            except ModelFailed as error:
                return Judgement(Invalid(InvalidCause.MODEL_ERROR, str(error)), deployment)
            metrics.MODEL_SERVER_WAITS.inc()
            with watch.stage("wait"):
                await self._clock.sleep(min(pause, max(left, 0.0)))
            pause = min(2 * pause, _LAST_PAUSE)

    def mask_maker(self, outcome: Outcome, manifest: Manifest | None) -> Callable[[], Awaitable[bytes | None]] | None:
        """What draws the mask of a judged image (PNG, or None where the model has none); None for all else."""
        if manifest is None or not isinstance(outcome, Judged):
            return None
        answer = outcome.answer
        return lambda: self._vision.mask(answer, manifest)

    async def _ask(
        self, prepared: Prepared, deployment: Deployment, manifest: Manifest, deadline: Deadline, watch: Stopwatch
    ) -> Outcome:
        left = deadline.remaining()
        if left <= 0:
            raise ModelLate("the budget was spent before the model could be asked")
        with watch.stage("infer"):
            outputs = await self._models.infer(deployment.triton_model, manifest, prepared.tensor, left)
        size = (prepared.width, prepared.height)
        with watch.stage("interpret"):
            answer = await self._vision.interpret(outputs, deployment, manifest, size)
        return Judged(answer, *size)
