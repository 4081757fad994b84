"""A camera's frame in, one inspection out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from vigia_contracts.cameras import Camera
from vigia_contracts.deployments import Deployment
from vigia_contracts.frames import FrameReference
from vigia_contracts.inspections import Inspection, InvalidCause
from vigia_detection.app.clock import Deadline, Stopwatch
from vigia_detection.app.errors import ImageGone, ImageTooLarge, Refused
from vigia_detection.app.judge import Judge, Judgement
from vigia_detection.app.ports import Cameras, Clock, Deployments, FrameStore
from vigia_detection.app.record import Keeping, Recorder
from vigia_detection.domain.frame import Frame, account_of_unknown
from vigia_detection.domain.outcome import Invalid, inspection, late_by, settle
from vigia_runtime.errors import Transient

#: Seconds between two tries to fetch a frame's image while the object store is away.
_FETCH_PAUSE: Final = 0.2


@dataclass(frozen=True, slots=True)
class Policy:
    """What holds where no camera says otherwise.

    ``account_id``: under which frames of unknown cameras are written, where not all cameras are of one account.
    ``frames_bucket``: the only bucket a frame may refer to.
    """

    account_id: str
    frames_bucket: str


class InspectFrame:
    """The worker's use case: whatever a frame is, it ends in exactly one recorded inspection."""

    def __init__(
        self,
        *,
        cameras: Cameras,
        deployments: Deployments,
        frames: FrameStore,
        judge: Judge,
        recorder: Recorder,
        clock: Clock,
        policy: Policy,
    ) -> None:
        self._cameras = cameras
        self._deployments = deployments
        self._frames = frames
        self._judge = judge
        self._recorder = recorder
        self._clock = clock
        self._policy = policy

    async def __call__(self, frame: Frame, content: bytes | FrameReference, trace: Mapping[str, str]) -> Inspection:
        """Decide about ``frame`` and record it; Transient only after the decision, when it cannot be made durable."""
        watch = Stopwatch(self._clock)
        camera = self._cameras.get(frame.camera_id) if frame.camera_id is not None else None
        image = content if isinstance(content, bytes) else None
        if camera is None:
            judgement = Judgement(Invalid(InvalidCause.UNKNOWN_CAMERA, "the key names no camera"))
        elif not frame.time_possible:
            detail = "the stated time of capture is too far from the time of arrival"
            judgement = Judgement(Invalid(InvalidCause.BAD_TIME, detail))
        elif (late := late_by(frame.captured_at, self._clock.now(), camera.policy.budget_seconds)) > 0:
            judgement = Judgement(Invalid(InvalidCause.LATE, f"read {late:.3f} s after the budget"))
        else:
            deadline = self._deadline(frame, camera)
            try:
                with watch.stage("fetch"):
                    image = await self._image(content, deadline)
            except Refused as refused:
                judgement = Judgement(refused.outcome)
            else:
                judgement = await self._judge.judge(image, self._hosted(camera), deadline, watch, insist=True)
        return await self._record(frame, camera, judgement, image, trace, watch)

    async def refuse(self, frame: Frame, cause: InvalidCause, detail: str, image: bytes | None) -> Inspection:
        """Record a frame that nobody can judge because of how it was sent."""
        camera = self._cameras.get(frame.camera_id) if frame.camera_id is not None else None
        judgement = Judgement(Invalid(cause, detail))
        return await self._record(frame, camera, judgement, image, {}, Stopwatch(self._clock))

    def account_of_unknown(self) -> str:
        """The account of what no known camera sent."""
        return account_of_unknown((camera for _, camera in self._cameras.items()), self._policy.account_id)

    def _deadline(self, frame: Frame, camera: Camera) -> Deadline:
        budget = camera.policy.budget_seconds
        left = -late_by(frame.captured_at, self._clock.now(), budget)
        # A camera whose clock runs ahead gets its budget and not more.
        return Deadline(self._clock, min(left, budget))

    def _hosted(self, camera: Camera) -> Callable[[], Deployment | None]:
        return lambda: self._deployments.get(camera.camera_id)

    async def _image(self, content: bytes | FrameReference, deadline: Deadline) -> bytes:
        if isinstance(content, bytes):
            return content
        reference = content.image
        if reference.bucket != self._policy.frames_bucket:
            # The worker may read more than the publisher of a frame may.
            detail = f"frames lie in {self._policy.frames_bucket!r}, not in {reference.bucket!r}"
            raise Refused(Invalid(InvalidCause.BAD_MESSAGE, detail))
        while True:
            try:
                image = await self._frames.fetch(reference)
                break
            except ImageGone as error:
                raise Refused(Invalid(InvalidCause.EXPIRED, str(error))) from error
            except ImageTooLarge as error:
                raise Refused(Invalid(InvalidCause.TOO_LARGE, str(error))) from error
            except Transient as error:
                if (left := deadline.remaining()) <= 0:
                    detail = f"the image could not be fetched within the budget: {error}"
                    raise Refused(Invalid(InvalidCause.LATE, detail)) from error
                await self._clock.sleep(min(_FETCH_PAUSE, left))
        if reference.sha256 is not None and hashlib.sha256(image).hexdigest() != reference.sha256:
            raise Refused(Invalid(InvalidCause.UNDECODABLE, "the stored image is not the one that was sent (sha256)"))
        return image

    async def _record(
        self,
        frame: Frame,
        camera: Camera | None,
        judgement: Judgement,
        image: bytes | None,
        trace: Mapping[str, str],
        watch: Stopwatch,
    ) -> Inspection:
        decided_at = self._clock.now()
        outcome = settle(judgement.outcome, frame, decided_at, camera.policy.budget_seconds if camera else None)
        decided = inspection(
            frame,
            outcome,
            account_id=camera.account_id if camera else self.account_of_unknown(),
            decided_at=decided_at,
            camera=camera,
            deployment=judgement.deployment,
        )
        keeping = Keeping(
            image=image,
            mask=self._judge.mask_maker(outcome, judgement.manifest),
            pass_share=camera.policy.pass_evidence_share if camera else 0.0,
            key=frame.camera_id,
            trace=trace,
            known_camera=camera is not None,
            queue_seconds=frame.queue_seconds,
        )
        return await self._recorder.record(decided, keeping, watch)
