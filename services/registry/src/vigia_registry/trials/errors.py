"""What can go wrong with trial detections."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from vigia_registry.trials.domain import TrialState
from vigia_runtime.errors import Conflict, InvalidInput, LimitExceeded, NotFound

_NAMED = 20


class TrialNotFound(NotFound):
    def __init__(self, trial_id: UUID) -> None:
        super().__init__("trial_not_found", f"Trial {trial_id} does not exist.", {"trial_id": str(trial_id)})


class TrialExists(Conflict):
    def __init__(self, project: str, name: str) -> None:
        super().__init__("trial_exists", f"Project {project} already has a trial named {name}.", {"name": name})


class TrialBusy(Conflict):
    """Its state forbids the operation."""

    def __init__(self, name: str, state: TrialState, operation: str) -> None:
        super().__init__(
            "trial_busy", f"Trial {name} is {state.value}; it cannot be {operation} now.", {"state": state.value}
        )


class TrialEmpty(Conflict):
    def __init__(self, name: str) -> None:
        super().__init__("trial_empty", f"Trial {name} has no images yet.")


class TrialChanged(Conflict):
    """It changed while its images were copied."""

    def __init__(self, name: str) -> None:
        super().__init__("trial_changed", f"Images of trial {name} changed while they were added. Try again.")


class TooManyTrials(LimitExceeded):
    def __init__(self, project: str, limit: int) -> None:
        super().__init__("trials_per_project", f"Project {project} already has {limit} trials, the most it may have.")


class TooManyImages(LimitExceeded):
    def __init__(self, limit: int) -> None:
        super().__init__("images_per_trial", f"A trial may have at most {limit} images.", {"limit": limit})


class ImageNotFound(NotFound):
    """There is no such image, or it has no such mask, or the object is gone."""

    def __init__(self, message: str) -> None:
        super().__init__("trial_image_not_found", message)


class NotJudged(Conflict):
    """Only what the model judged can be verified."""

    def __init__(self, numbers: Sequence[int]) -> None:
        super().__init__(
            "image_not_judged", f"The model has not judged {_images(numbers)}.", {"images": list(numbers)[:_NAMED]}
        )


class NotVerified(Conflict):
    """Only what a person verified can be added to the dataset."""

    def __init__(self, numbers: Sequence[int]) -> None:
        super().__init__(
            "image_not_verified", f"Nobody has verified {_images(numbers)}.", {"images": list(numbers)[:_NAMED]}
        )


class OtherBucket(Conflict):
    def __init__(self, bucket: str, wanted: str) -> None:
        super().__init__(
            "other_bucket",
            f"The images of the trial are in bucket {bucket}, those of the dataset in bucket {wanted}. "
            "All images of a dataset must be in one bucket: copy them there, and run the trial on the copies.",
            {"bucket": bucket, "dataset_bucket": wanted},
        )


class BadTrial(InvalidInput):
    """One field of a request breaks a rule that its type does not tell."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__("invalid_input", f"{field}: {message}", {"problems": [{"where": field, "message": message}]})


class BadImage(InvalidInput):
    """What was uploaded is no image that could be judged."""

    def __init__(self, message: str) -> None:
        super().__init__("bad_image", message)


class BadMask(InvalidInput):
    """What was uploaded is no mask of the image."""

    def __init__(self, message: str) -> None:
        super().__init__("bad_mask", message)


def _images(numbers: Sequence[int]) -> str:
    named = ", ".join(map(str, numbers[:_NAMED]))
    return f"image {named}" if len(numbers) == 1 else f"images {named}" + (" …" if len(numbers) > _NAMED else "")
