"""From an image to an outcome: what a model that judges parts says, read against the threshold."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, get_args

from vigia_contracts.deployments import Deployment
from vigia_detection.app.ask import Asked, Asker, Reading
from vigia_detection.app.clock import Deadline, Stopwatch
from vigia_detection.app.ports import Outputs, Vision
from vigia_detection.domain.outcome import Judged, Outcome
from vigia_vision.manifest import AnomalyKind, Manifest

#: An outcome and what made it.
Judgement = Asked[Judged]
_KINDS: Final = frozenset(get_args(AnomalyKind))


class Judge:
    """Judges images."""

    def __init__(self, asker: Asker, vision: Vision) -> None:
        self._asker = asker
        self._vision = vision
        self._wanted = Reading(_KINDS, "gives labels; it does not judge images", self._read)

    async def judge(
        self,
        image: bytes,
        hosted: Callable[[], Deployment | None],
        deadline: Deadline,
        watch: Stopwatch,
        *,
        insist: bool = False,
    ) -> Judgement:
        """The outcome for ``image``; as ``Asker.ask``."""
        return await self._asker.ask(image, hosted, self._wanted, deadline, watch, insist=insist)

    def mask_maker(self, outcome: Outcome, manifest: Manifest | None) -> Callable[[], Awaitable[bytes | None]] | None:
        """What draws the mask of a judged image (PNG, or None where the model has none); None for all else."""
        if manifest is None or not isinstance(outcome, Judged):
            return None
        answer = outcome.answer
        return lambda: self._vision.mask(answer, manifest)

    async def _read(
        self, outputs: Outputs, deployment: Deployment, manifest: Manifest, size: tuple[int, int]
    ) -> Judged:
        return Judged(await self._vision.interpret(outputs, deployment, manifest, size), *size)
