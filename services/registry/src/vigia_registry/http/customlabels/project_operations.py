"""CreateProject, DescribeProjects, DeleteProject."""

from __future__ import annotations

from vigia_registry.datasets import service as datasets
from vigia_registry.errors import Resource
from vigia_registry.http.customlabels import shapes, validation
from vigia_registry.http.customlabels.call import Call, Shape
from vigia_registry.http.members import invalid
from vigia_registry.projects import service as projects
from vigia_registry.tags import service as tags

_MOST_NAMES = 10


async def create_project(call: Call) -> Shape:
    """A new project."""
    name = validation.project_name(call.body.get("ProjectName"))
    validation.feature(call.body.get("Feature"))
    if call.body.get("AutoUpdate") not in (None, "ENABLED", "DISABLED"):
        raise invalid(call.body["AutoUpdate"], "autoUpdate", "Member must satisfy enum value set: [ENABLED, DISABLED]")
    given = validation.tags(call.body.get("Tags"))
    limits = call.deps.settings.limits
    async with call.change() as session:
        project = await projects.create(session, call.owner, name, limits.projects)
        await tags.put(session, Resource.PROJECT, project.arn, given, limits.tags)
    return {"ProjectArn": project.arn}


async def describe_projects(call: Call) -> Shape:
    """The account's projects with their datasets, oldest first; of names that nobody has nothing is said."""
    names = [
        validation.project_name(name, "projectNames")
        for name in validation.texts(call.body.get("ProjectNames"), "projectNames", _MOST_NAMES)
    ]
    for wanted in validation.texts(call.body.get("Features"), "features", 2):
        if wanted not in ("CUSTOM_LABELS", "CONTENT_MODERATION"):
            constraint = "Member must satisfy enum value set: [CUSTOM_LABELS, CONTENT_MODERATION]"
            raise invalid(wanted, "features", constraint)
    limit = validation.page_size(call.body.get("MaxResults"))
    token = validation.page_token(call.body.get("NextToken"))
    if call.body.get("Features") == ["CONTENT_MODERATION"]:
        return shapes.page("ProjectDescriptions", [], None)
    async with call.read() as session:
        page = await projects.page(session, call.pages, call.owner, token, limit, names)
        held = await datasets.of_projects(session, [project.id for project in page.items])
    described = [shapes.project_description(project, held.get(project.id, [])) for project in page.items]
    return shapes.page("ProjectDescriptions", described, page.next_token)


async def delete_project(call: Call) -> Shape:
    """Start to delete a project that has neither datasets nor model versions any more."""
    arn = validation.project_arn(call.body.get("ProjectArn"))
    async with call.change() as session:
        project = await projects.by_arn(session, call.owner, arn)
        await projects.delete(session, call.owner, project.name)
    return {"Status": "DELETING"}
