"""What can go wrong with model versions."""

from __future__ import annotations

from vigia_registry.errors import Resource, about
from vigia_registry.models.domain import AwsStatus, VersionName
from vigia_runtime.errors import Conflict, InvalidInput, LimitExceeded, NotFound


def _id(project: str, version: VersionName) -> dict[str, str]:
    return about(Resource.MODEL, f"{project}/{version}")


class ModelNotFound(NotFound):
    def __init__(self, project: str, version: VersionName) -> None:
        super().__init__("model_not_found", f"Project {project} has no model version {version}.", _id(project, version))


class ArnNotFound(NotFound):
    """The ARN is of nothing that the caller has here: unknown, or of another account, region, service or kind."""

    def __init__(self, arn: str) -> None:
        super().__init__("arn_not_found", f"There is no model version {arn}.", about(Resource.MODEL, arn))


class ReportNotFound(NotFound):
    """``why``: what became of it, as far as is known."""

    def __init__(self, project: str, version: int, why: str) -> None:
        text = f"Model version {version} of project {project} has no report: {why}."
        super().__init__("report_not_found", text, _id(project, version))


class ModelBusy(Conflict):
    """Its status forbids the operation."""

    def __init__(self, project: str, version: VersionName, status: AwsStatus, operation: str) -> None:
        super().__init__(
            "model_busy",
            f"Model version {version} of project {project} is {status.value}; it cannot be {operation} now.",
            {**_id(project, version), "status": status.value},
        )


class ModelBeingPackaged(Conflict):
    def __init__(self, project: str, version: VersionName, job: str) -> None:
        super().__init__(
            "model_being_packaged",
            f"Model version {version} of project {project} is being packaged by job {job}; delete it afterwards.",
            _id(project, version),
        )


class NotTrainable(InvalidInput):
    """The datasets do not suffice; every reason is named."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("not_trainable", " ".join(problems), {"problems": problems})


class OutputUnavailable(InvalidInput):
    def __init__(self, bucket: str) -> None:
        super().__init__("output_unavailable", f"The output bucket {bucket} does not exist.")


class OutputForbidden(InvalidInput):
    """Vigia's own buckets hold what it keeps itself, and what lies in some of them is deleted in time."""

    def __init__(self, bucket: str) -> None:
        super().__init__("output_forbidden", f"The output bucket {bucket} is Vigia's own; name one of yours.")


class OutputUnusable(InvalidInput):
    """No object can lie below the prefix."""

    def __init__(self, prefix: str) -> None:
        super().__init__(
            "output_unusable", f"The output prefix {prefix} has an empty part, '.' or '..', or is too long for a key."
        )


class UnitsOutOfOrder(InvalidInput):
    def __init__(self, least: int, most: int) -> None:
        super().__init__(
            "units_out_of_order", f"MaxInferenceUnits ({most}) is smaller than MinInferenceUnits ({least})."
        )


class TooManyModels(LimitExceeded):
    def __init__(self, project: str, limit: int) -> None:
        super().__init__(
            "models_per_project",
            f"Project {project} already has {limit} model versions, the most it may have.",
            about(Resource.PROJECT, project),
        )


class TooManyTrainings(LimitExceeded):
    def __init__(self, project: str, limit: int) -> None:
        super().__init__(
            "trainings_per_account",
            f"The account already has {limit} trainings under way, the most it may have.",
            about(Resource.PROJECT, project),
        )


class TooManyUnits(LimitExceeded):
    def __init__(self, project: str, version: VersionName, limit: int) -> None:
        super().__init__(
            "inference_units_per_model",
            f"A model version may have at most {limit} inference units.",
            _id(project, version),
        )
