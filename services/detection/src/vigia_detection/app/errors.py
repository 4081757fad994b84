"""How the world may refuse, and how a use case says that there is no answer."""

# ruff: noqa: N818  the names say what happened; "Error" behind each would say nothing more

from __future__ import annotations

from vigia_contracts.inspections import InvalidCause
from vigia_detection.domain.outcome import Invalid


class ModelFailed(Exception):
    """The model was asked and answered with an error, or with something that is no answer."""


class ModelBusy(Exception):
    """Every model server refused because its queue is full, or dropped the request from its queue."""


class ModelAway(Exception):
    """No model server can be reached, or none has the model at the moment: waiting helps."""


class ModelLate(Exception):
    """No answer came within the time that was given."""


class ImageGone(Exception):
    """The referenced image is not in the object store (any more)."""


class ImageTooLarge(Exception):
    """The referenced image has more bytes than anybody will decode."""


class Refused(Exception):
    """The frame's image could not be had; carries the outcome."""

    def __init__(self, outcome: Invalid) -> None:
        super().__init__(outcome.detail)
        self.outcome = outcome


class NotHosted(Exception):
    """No serving deployment matches the request."""


class NotJudged(Exception):
    """The image was not judged; ``cause`` says why. It is recorded as INVALID."""

    def __init__(self, cause: InvalidCause, detail: str) -> None:
        super().__init__(detail)
        self.cause = cause
        self.detail = detail
