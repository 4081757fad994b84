"""What can go wrong with threshold records."""

from __future__ import annotations

from vigia_registry.errors import Resource, about
from vigia_registry.models.domain import ModelState
from vigia_runtime.errors import Conflict, InvalidInput, LimitExceeded


class BadThreshold(InvalidInput):
    """A number breaks a rule; ``field`` says which one."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__("bad_threshold", f"{field}: {message}", {"problems": [{"where": field, "message": message}]})


class NotTrained(Conflict):
    def __init__(self, project: str, version: int, state: ModelState) -> None:
        super().__init__(
            "model_not_trained",
            f"Model version {version} of project {project} is {state.value}; only a trained one has a threshold.",
            {**about(Resource.MODEL, f"{project}/{version}"), "status": state.value},
        )


class ThresholdReplaced(Conflict):
    """Somebody was faster: the record that was to be replaced is not the newest."""

    def __init__(self, project: str, version: int, named: int, newest: int) -> None:
        super().__init__(
            "threshold_replaced",
            f"Threshold record {named} of model version {version} of project {project} is not the newest; "
            f"that is {newest}. Look at it first.",
            {**about(Resource.MODEL, f"{project}/{version}"), "newest": newest},
        )


class TooManyThresholds(LimitExceeded):
    def __init__(self, project: str, version: int, limit: int) -> None:
        super().__init__(
            "thresholds_per_model",
            f"Model version {version} of project {project} already has {limit} threshold records, the most allowed.",
            about(Resource.MODEL, f"{project}/{version}"),
        )
