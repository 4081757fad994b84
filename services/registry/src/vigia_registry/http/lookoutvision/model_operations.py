"""CreateModel, ListModels, DescribeModel, StartModel, StopModel, DeleteModel."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from vigia_registry.errors import Resource
from vigia_registry.http import members
from vigia_registry.http.lookoutvision import shapes, validation
from vigia_registry.http.lookoutvision.call import Call
from vigia_registry.http.lookoutvision.shapes import Shape
from vigia_registry.models import service as models
from vigia_registry.models.domain import AwsStatus, ModelRequest, Numbered, VersionName


async def create_model(call: Call) -> Shape:
    """Train a new version."""
    name = validation.project_name(call.path["projectName"])
    request = ModelRequest(
        output=validation.s3_location(_location(call.body.get("OutputConfig")), "outputConfig.s3Location"),
        description=validation.description(call.body.get("Description")),
        kms_key_id=members.kms_key(call.body.get("KmsKeyId")),
        tags=validation.tags(call.body.get("Tags")),
    )
    settings = call.deps.settings

    async def action(session: AsyncSession) -> Shape:
        model = await models.create(
            session,
            call.deps.objects,
            settings.buckets,
            settings.limits,
            settings.quotas,
            call.owner,
            name,
            request,
            call.rights,
        )
        return {"ModelMetadata": shapes.new_model_metadata(model)}

    return await call.once(Resource.PROJECT, name, action)


async def list_models(call: Call) -> Shape:
    """The versions of a project, newest first."""
    name = validation.project_name(call.path["projectName"])
    limit = validation.page_size(call.query.get("maxResults"))
    token = validation.page_token(call.query.get("nextToken"))
    async with call.deps.database.transaction() as session:
        page = await models.page(session, call.pages, call.owner, name, token, limit)
    return shapes.page("Models", [shapes.model_metadata(view) for view in page.items], page.next_token)


async def describe_model(call: Call) -> Shape:
    """A version, its state, its metrics and where its evaluation is."""
    name, version = _model(call)
    async with call.deps.database.transaction() as session:
        view = await models.get(session, call.owner, name, version)
    return {"ModelDescription": shapes.model_description(view)}


async def start_model(call: Call) -> Shape:
    """Ask for a version to be hosted."""
    name, version = _model(call)
    least = members.inference_units(call.body.get("MinInferenceUnits"), "minInferenceUnits")
    given = call.body.get("MaxInferenceUnits")
    most = None if given is None else members.inference_units(given, "maxInferenceUnits")

    async def action(session: AsyncSession) -> Shape:
        limits = call.deps.settings.limits
        view = await models.start(session, limits, call.owner, Numbered(name, version), least, most)
        return {"Status": view.status.value}

    return await call.once(Resource.MODEL, f"{name}/{version}", action)


async def stop_model(call: Call) -> Shape:
    """Ask for a version to be hosted no more."""
    name, version = _model(call)

    async def action(session: AsyncSession) -> Shape:
        await models.stop(session, call.owner, Numbered(name, version))
        # Also of one that failed to start, and so has nothing to stop: the protocol has no other word for an answer.
        return {"Status": AwsStatus.STOPPING_HOSTING.value}

    return await call.once(Resource.MODEL, f"{name}/{version}", action)


async def delete_model(call: Call) -> Shape:
    """Start to delete a version, named by its number."""
    name, version = _model(call)
    if version == "latest":
        raise members.invalid(version, "modelVersion", "Member must be a version number; latest is not allowed")

    async def action(session: AsyncSession) -> Shape:
        return {"ModelArn": (await models.delete(session, call.owner, Numbered(name, version))).arn}

    return await call.once(Resource.MODEL, f"{name}/{version}", action)


def _model(call: Call) -> tuple[str, VersionName]:
    return validation.project_name(call.path["projectName"]), validation.model_version(call.path["modelVersion"])


def _location(value: object) -> object:
    return members.structure(value, "outputConfig").get("S3Location")
