"""CreateProject, ListProjects, DescribeProject, DeleteProject."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from vigia_registry.datasets import service as datasets
from vigia_registry.errors import Resource
from vigia_registry.http.lookoutvision import shapes, validation
from vigia_registry.http.lookoutvision.call import Call
from vigia_registry.http.lookoutvision.shapes import Shape
from vigia_registry.projects import service as projects


async def create_project(call: Call) -> Shape:
    """A new project."""
    name = validation.project_name(call.body.get("ProjectName"))

    async def action(session: AsyncSession) -> Shape:
        project = await projects.create(session, call.owner, name, call.deps.settings.limits.projects)
        return {"ProjectMetadata": shapes.project_metadata(project)}

    return await call.once(Resource.PROJECT, name, action)


async def list_projects(call: Call) -> Shape:
    """The projects of the account in the region."""
    limit = validation.page_size(call.query.get("maxResults"))
    token = validation.page_token(call.query.get("nextToken"))
    async with call.deps.database.transaction() as session:
        page = await projects.page(session, call.pages, call.owner, token, limit)
    return shapes.page("Projects", [shapes.project_metadata(project) for project in page.items], page.next_token)


async def describe_project(call: Call) -> Shape:
    """A project and its datasets."""
    name = validation.project_name(call.path["projectName"])
    async with call.deps.database.transaction() as session:
        project = await projects.get(session, call.owner, name)
        held = await datasets.of_project(session, project)
    return {"ProjectDescription": shapes.project_description(project, held)}


async def delete_project(call: Call) -> Shape:
    """Start to delete a project that is empty."""
    name = validation.project_name(call.path["projectName"])

    async def action(session: AsyncSession) -> Shape:
        return {"ProjectArn": (await projects.delete(session, call.owner, name)).arn}

    return await call.once(Resource.PROJECT, name, action)
