"""What can go wrong with packaging jobs."""

from __future__ import annotations

from vigia_registry.errors import Resource, about
from vigia_runtime.errors import Conflict, InvalidInput, LimitExceeded, NotFound


def _id(project: str, job: str) -> dict[str, str]:
    return about(Resource.PACKAGING_JOB, f"{project}/{job}")


class PackagingJobNotFound(NotFound):
    def __init__(self, project: str, job: str) -> None:
        super().__init__("packaging_job_not_found", f"Project {project} has no packaging job {job}.", _id(project, job))


class PackagingJobExists(Conflict):
    def __init__(self, project: str, job: str) -> None:
        super().__init__(
            "packaging_job_exists", f"Project {project} already has a packaging job {job}.", _id(project, job)
        )


class ComponentExists(Conflict):
    """A job has made the component, or is about to."""

    def __init__(self, project: str, job: str, name: str, version: str) -> None:
        super().__init__(
            "component_exists",
            f"Version {version} of component {name} exists already or is being made. Give another ComponentVersion.",
            _id(project, job),
        )


class BadTarget(InvalidInput):
    def __init__(self, message: str) -> None:
        super().__init__("bad_target", message)


class BadCompilerOptions(InvalidInput):
    def __init__(self, problem: str) -> None:
        super().__init__("bad_compiler_options", f"The compiler options are not right: {problem}.")


class FolderUnusable(InvalidInput):
    """No object can lie there."""

    def __init__(self, folder: str) -> None:
        super().__init__(
            "folder_unusable",
            f"No object can lie in {folder[:256]}: a part of it is empty, '.' or '..', or it is too long.",
        )


class TooManyPackagings(LimitExceeded):
    def __init__(self, project: str, limit: int) -> None:
        super().__init__(
            "packagings_per_account",
            f"The account already has {limit} packaging jobs under way, the most it may have.",
            about(Resource.PROJECT, project),
        )


class TooManyPackagingJobs(LimitExceeded):
    def __init__(self, project: str, limit: int) -> None:
        super().__init__(
            "packaging_jobs_per_project",
            f"Project {project} already has {limit} packaging jobs, the most it may have.",
            about(Resource.PROJECT, project),
        )
