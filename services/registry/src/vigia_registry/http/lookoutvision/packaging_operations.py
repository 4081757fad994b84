"""StartModelPackagingJob, DescribeModelPackagingJob, ListModelPackagingJobs."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from vigia_registry.errors import Resource
from vigia_registry.http import members
from vigia_registry.http.lookoutvision import shapes, validation
from vigia_registry.http.lookoutvision.call import Call
from vigia_registry.http.lookoutvision.shapes import Shape
from vigia_registry.packaging import service as packaging
from vigia_registry.packaging.domain import (
    Accelerator,
    Arch,
    Configuration,
    Device,
    Os,
    PackagingRequest,
    Platform,
)


async def start_model_packaging_job(call: Call) -> Shape:
    """Start to make a component of a version."""
    name = validation.project_name(call.path["projectName"])
    version = validation.model_version(call.body.get("ModelVersion"))
    job_name = call.body.get("JobName")
    request = PackagingRequest(
        configuration=_configuration(call.body.get("Configuration")),
        name=None if job_name is None else validation.job_name(job_name),
        description=validation.job_description(call.body.get("Description")),
    )
    settings = call.deps.settings

    async def action(session: AsyncSession) -> Shape:
        job = await packaging.start(
            session,
            call.deps.objects,
            settings.buckets,
            settings.limits,
            call.owner,
            name,
            version,
            request,
            call.rights,
        )
        return {"JobName": job.name}

    return await call.once(Resource.PACKAGING_JOB, f"{name}/{request.name or version}", action)


async def describe_model_packaging_job(call: Call) -> Shape:
    """A job, what was asked and what was made."""
    name = validation.project_name(call.path["projectName"])
    job_name = validation.job_name(call.path["jobName"])
    async with call.deps.database.transaction() as session:
        job = await packaging.get(session, call.owner, name, job_name)
    return {"ModelPackagingDescription": shapes.packaging_description(name, job)}


async def list_model_packaging_jobs(call: Call) -> Shape:
    """The jobs of a project, newest first."""
    name = validation.project_name(call.path["projectName"])
    limit = validation.page_size(call.query.get("maxResults"))
    token = validation.page_token(call.query.get("nextToken"))
    async with call.deps.database.transaction() as session:
        page = await packaging.page(session, call.pages, call.owner, name, token, limit)
    jobs = [shapes.packaging_metadata(name, job) for job in page.items]
    return shapes.page("ModelPackagingJobs", jobs, page.next_token)


def _configuration(value: object) -> Configuration:
    where = "configuration.greengrass"
    given = members.structure(members.structure(value, "configuration").get("Greengrass"), where)
    device, platform = given.get("TargetDevice"), given.get("TargetPlatform")
    return Configuration(
        device=None if device is None else validation.one_of(device, f"{where}.targetDevice", Device),
        platform=None if platform is None else _platform(platform, f"{where}.targetPlatform"),
        compiler_options=validation.compiler_options(given.get("CompilerOptions"), f"{where}.compilerOptions"),
        output=validation.s3_location(given.get("S3OutputLocation"), f"{where}.s3OutputLocation"),
        component_name=validation.component_name(given.get("ComponentName"), f"{where}.componentName"),
        component_version=validation.component_version(given.get("ComponentVersion"), f"{where}.componentVersion"),
        component_description=validation.component_description(
            given.get("ComponentDescription"), f"{where}.componentDescription"
        ),
        tags=validation.tags(given.get("Tags"), f"{where}.tags"),
    )


def _platform(value: object, where: str) -> Platform:
    given = members.structure(value, where)
    accelerator = given.get("Accelerator")
    return Platform(
        os=validation.one_of(given.get("Os"), f"{where}.os", Os),
        arch=validation.one_of(given.get("Arch"), f"{where}.arch", Arch),
        accelerator=None
        if accelerator is None
        else validation.one_of(accelerator, f"{where}.accelerator", Accelerator),
    )
