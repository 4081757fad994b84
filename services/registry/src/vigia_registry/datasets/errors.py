"""What can go wrong with datasets."""

from __future__ import annotations

from vigia_registry.datasets.domain import DatasetKind, DatasetState
from vigia_registry.errors import Resource, about
from vigia_runtime.errors import Conflict, InvalidInput, NotFound


def _id(project: str, kind: DatasetKind) -> dict[str, str]:
    return about(Resource.DATASET, f"{project}/{kind.value}")


class DatasetNotFound(NotFound):
    def __init__(self, project: str, kind: DatasetKind) -> None:
        super().__init__("dataset_not_found", f"Project {project} has no {kind.value} dataset.", _id(project, kind))


class DatasetExists(Conflict):
    def __init__(self, project: str, kind: DatasetKind) -> None:
        super().__init__(
            "dataset_exists",
            f"Project {project} already has a {kind.value} dataset. Delete it before you create it again.",
            _id(project, kind),
        )


class DatasetBusy(Conflict):
    """Its state forbids the operation."""

    def __init__(self, project: str, kind: DatasetKind, state: DatasetState) -> None:
        super().__init__(
            "dataset_busy",
            f"The {kind.value} dataset of project {project} is in state {state.value}, which forbids the operation.",
            _id(project, kind),
        )


class DatasetUnready(Conflict):
    """It has no whole entries now, so nothing can be read from it."""

    def __init__(self, project: str, kind: DatasetKind, state: DatasetState) -> None:
        super().__init__(
            "dataset_unready",
            f"The {kind.value} dataset of project {project} is in state {state.value}: its entries cannot be read now.",
            _id(project, kind),
        )


class DatasetArnNotFound(NotFound):
    """None of the caller's has the ARN, be it that a later one has its name."""

    def __init__(self, arn: str) -> None:
        super().__init__("dataset_not_found", f"The dataset {arn} does not exist.", about(Resource.DATASET, arn))


class NotCopyable(InvalidInput):
    """The dataset has no whole entries now that another one could get."""

    def __init__(self, arn: str, state: DatasetState) -> None:
        super().__init__("not_copyable", f"The dataset {arn} is in state {state.value}: it cannot be copied now.")


class NotDistributable(InvalidInput):
    """The datasets are no pair whose first can give entries to the second."""

    def __init__(self, message: str) -> None:
        super().__init__("not_distributable", message)


class DatasetChanged(Conflict):
    """It changed while it was read."""

    def __init__(self, project: str, kind: DatasetKind) -> None:
        super().__init__(
            "dataset_changed",
            f"The {kind.value} dataset of project {project} changed while it was read. Try again.",
            _id(project, kind),
        )


class ManifestUnavailable(InvalidInput):
    """The manifest's bucket or object does not exist, may not be named, or is larger than allowed."""

    def __init__(self, message: str) -> None:
        super().__init__("manifest_unavailable", message)
