"""An image by request in, the answer out: DetectAnomalies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from vigia_contracts.deployments import Deployment
from vigia_contracts.events import Event
from vigia_contracts.frames import inspection_id
from vigia_contracts.inspections import Origin
from vigia_detection.app.ask import announced
from vigia_detection.app.clock import Deadline, Stopwatch
from vigia_detection.app.errors import NotJudged
from vigia_detection.app.judge import Judge
from vigia_detection.app.ports import Clock, Deployments
from vigia_detection.app.record import Keeping, Recorder
from vigia_detection.domain.frame import Frame
from vigia_detection.domain.hosted import find_hosted
from vigia_detection.domain.outcome import Invalid, Outcome, inspection, settle
from vigia_vision.interpret import Answer

#: ``frame_source`` of images that came by this door.
SOURCE: Final = "lookoutvision"

Permit = Callable[[Deployment], None]


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks which version about which image. ``region`` as signed, None where the sign-in names none.

    ``call`` makes the record of the request, once its outcome and what was asked are known.
    """

    request_id: str
    account_id: str
    region: str | None
    project: str
    version: str
    image: bytes
    call: Callable[[Outcome, Deployment], Event]


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer, and its mask as PNG for a segmentation model."""

    answer: Answer
    mask: bytes | None


@dataclass(frozen=True, slots=True)
class Patience:
    """``announce_seconds``: how long a version just hosted may take to become known here. ``budget_seconds``: from
    the request to its decision. ``pass_share``: share of PASS images that is kept."""

    announce_seconds: float
    budget_seconds: float
    pass_share: float


class DetectAnomalies:
    """The request's use case. The inspection and the call's record are durable before the caller gets the answer."""

    def __init__(
        self, *, deployments: Deployments, judge: Judge, recorder: Recorder, clock: Clock, patience: Patience
    ) -> None:
        self._deployments = deployments
        self._judge = judge
        self._recorder = recorder
        self._clock = clock
        self._patience = patience

    async def __call__(self, request: Request, permit: Permit) -> Reply:
        """The answer for the request's image. ``permit`` raises where the caller may not use the version.

        NotHosted; NotJudged; Transient when it cannot be recorded.
        """
        watch = Stopwatch(self._clock)
        received_at = self._clock.now()
        deployment = await self._hosted(request)
        permit(deployment)
        deadline = Deadline(self._clock, self._patience.budget_seconds)
        judgement = await self._judge.judge(
            request.image, lambda: self._deployments.get(deployment.model_arn), deadline, watch
        )
        frame = Frame(
            inspection_id=inspection_id(SOURCE, request.request_id),
            frame_id=request.request_id,
            source=SOURCE,
            origin=Origin.API,
            camera_id=None,
            part_id=None,
            captured_at=received_at,
            received_at=received_at,
        )
        decided_at = self._clock.now()
        outcome = settle(judgement.outcome, frame, decided_at, None)
        draw = self._judge.mask_maker(outcome, judgement.manifest)
        mask = await draw() if draw is not None else None

        async def drawn() -> bytes | None:
            return mask

        decided = inspection(
            frame,
            outcome,
            account_id=request.account_id,
            decided_at=decided_at,
            deployment=judgement.deployment or deployment,
        )
        keeping = Keeping(
            image=request.image,
            mask=drawn,
            pass_share=self._patience.pass_share,
            key=deployment.model_arn,
            trace={},
            known_camera=False,
            call=request.call(outcome, judgement.deployment or deployment),
        )
        await self._recorder.record(decided, keeping, watch)
        if isinstance(outcome, Invalid):
            raise NotJudged(outcome.cause, outcome.detail)
        return Reply(outcome.answer, mask)

    async def _hosted(self, request: Request) -> Deployment:
        """The deployment that the request means."""
        return await announced(
            lambda: find_hosted(
                self._deployments.items(),
                account_id=request.account_id,
                region=request.region,
                project=request.project,
                version=request.version,
            ),
            self._clock,
            self._patience.announce_seconds,
        )
