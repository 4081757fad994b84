"""What can go wrong with model versions."""

from __future__ import annotations

from vigia_registry.errors import Resource, about
from vigia_registry.models.domain import Numbered, VersionName, VersionRef
from vigia_runtime.errors import Conflict, InvalidInput, LimitExceeded, NotFound


def _id(project: str, version: VersionName) -> dict[str, str]:
    return about(Resource.MODEL, f"{project}/{version}")


def _about(ref: VersionRef) -> dict[str, str]:
    return _id(ref.project, ref.version) if isinstance(ref, Numbered) else about(Resource.MODEL, ref)


def _shown(ref: VersionRef) -> str:
    return f"{ref.version} of project {ref.project}" if isinstance(ref, Numbered) else ref


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


class ModelExists(Conflict):
    """The project has, or had a moment ago, a version of that name."""

    def __init__(self, project: str, name: str) -> None:
        super().__init__(
            "model_exists",
            f"Project {project} already has a model version {name}.",
            about(Resource.MODEL, f"{project}/{name}"),
        )


class ModelBusy(Conflict):
    """Its status forbids the operation."""

    def __init__(self, ref: VersionRef, status: str, operation: str) -> None:
        super().__init__(
            "model_busy",
            f"Model version {_shown(ref)} is {status}; it cannot be {operation} now.",
            {**_about(ref), "status": status},
        )


class ModelBeingPackaged(Conflict):
    def __init__(self, ref: VersionRef, job: str) -> None:
        super().__init__(
            "model_being_packaged",
            f"Model version {_shown(ref)} is being packaged by job {job}; delete it afterwards.",
            _about(ref),
        )


class DatasetsInTheWay(InvalidInput):
    """A project that has datasets is trained on them."""

    def __init__(self, project: str) -> None:
        super().__init__(
            "datasets_in_the_way",
            f"Project {project} has datasets, so TrainingData must not be given, and of TestingData only AutoCreate.",
        )


class TestDatasetInTheWay(InvalidInput):
    """Nothing is split where there is a test dataset."""

    def __init__(self, project: str) -> None:
        super().__init__(
            "test_dataset_in_the_way",
            f"Project {project} has a test dataset; delete it, or leave TestingData.AutoCreate out.",
        )


class NotOfProject(InvalidInput):
    """The ARN of a version that is none of the project's."""

    def __init__(self, arn: str, project: str) -> None:
        super().__init__("not_of_project", f"The model version {arn} is none of the project {project}.")


class OtherRegion(InvalidInput):
    def __init__(self, arn: str, region: str) -> None:
        super().__init__("other_region", f"{arn} is not in the region {region}; models are copied within one region.")


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


class TooManyCopies(LimitExceeded):
    def __init__(self, project: str, limit: int) -> None:
        super().__init__(
            "copies_per_project",
            f"{limit} model versions are being copied into project {project} already, the most there may be at once.",
            about(Resource.PROJECT, project),
        )


class TooManyUnits(LimitExceeded):
    def __init__(self, ref: VersionRef, limit: int) -> None:
        super().__init__(
            "inference_units_per_model", f"A model version may have at most {limit} inference units.", _about(ref)
        )
