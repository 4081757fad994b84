"""CreateProjectVersion, DescribeProjectVersions, CopyProjectVersion, DeleteProjectVersion, StartProjectVersion,
StopProjectVersion."""

from __future__ import annotations

from vigia_registry.http.customlabels import shapes, validation
from vigia_registry.http.customlabels.call import Call, Shape
from vigia_registry.http.members import inference_units, invalid, kms_key
from vigia_registry.models import copying
from vigia_registry.models import service as models
from vigia_registry.models.domain import CopyRequest, GivenManifests, ModelRequest, VersionStatus
from vigia_registry.projects import service as projects

_MOST_NAMES = 10


async def create_project_version(call: Call) -> Shape:
    """Train a new version, on the project's datasets or on manifests that the caller names."""
    arn = validation.project_arn(call.body.get("ProjectArn"))
    given, split = _data(call)
    request = ModelRequest(
        name=validation.version_name(call.body.get("VersionName")),
        output=validation.output_config(call.body.get("OutputConfig")),
        description=validation.description(call.body.get("VersionDescription")),
        kms_key_id=kms_key(call.body.get("KmsKeyId")),
        tags=validation.tags(call.body.get("Tags")),
        given=given,
        split=split,
    )
    validation.no_feature_config(call.body.get("FeatureConfig"))
    settings = call.deps.settings
    async with call.change() as session:
        project = await projects.by_arn(session, call.owner, arn)
        model = await models.create(
            session,
            call.deps.objects,
            settings.buckets,
            settings.limits,
            settings.quotas,
            call.owner,
            project.name,
            request,
            call.rights,
        )
    return {"ProjectVersionArn": model.arn}


async def describe_project_versions(call: Call) -> Shape:
    """The versions of a project, newest first; of names that none of them has nothing is said."""
    arn = validation.project_arn(call.body.get("ProjectArn"))
    names = [
        validation.version_name(name, "versionNames")
        for name in validation.texts(call.body.get("VersionNames"), "versionNames", _MOST_NAMES)
    ]
    limit = validation.page_size(call.body.get("MaxResults"))
    token = validation.page_token(call.body.get("NextToken"))
    async with call.read() as session:
        project = await projects.by_arn(session, call.owner, arn)
        page = await models.page(session, call.pages, call.owner, project.name, token, limit, names)
    described = [shapes.version_description(view) for view in page.items]
    return shapes.page("ProjectVersionDescriptions", described, page.next_token)


async def copy_project_version(call: Call) -> Shape:
    """Copy a trained version into a project of the caller's."""
    wanted = CopyRequest(
        source_project=validation.project_arn(call.body.get("SourceProjectArn"), "sourceProjectArn"),
        source=validation.version_arn(call.body.get("SourceProjectVersionArn"), "sourceProjectVersionArn"),
        destination_project=validation.project_arn(call.body.get("DestinationProjectArn"), "destinationProjectArn"),
        name=validation.version_name(call.body.get("VersionName")),
        output=validation.output_config(call.body.get("OutputConfig")),
        kms_key_id=kms_key(call.body.get("KmsKeyId")),
        tags=validation.tags(call.body.get("Tags")),
    )
    settings = call.deps.settings
    async with call.change() as session:
        model = await copying.request(
            session,
            call.deps.objects,
            settings.buckets,
            settings.limits,
            call.owner,
            call.caller,
            wanted,
            call.rights,
        )
    return {"ProjectVersionArn": model.arn}


async def delete_project_version(call: Call) -> Shape:
    """Start to delete a version."""
    arn = validation.version_arn(call.body.get("ProjectVersionArn"))
    async with call.change() as session:
        await models.delete(session, call.owner, arn, call.deps.settings.retention.deleted_models_seconds)
    return {"Status": VersionStatus.DELETING.value}


async def start_project_version(call: Call) -> Shape:
    """Ask for a version to be hosted."""
    arn = validation.version_arn(call.body.get("ProjectVersionArn"))
    least = inference_units(call.body.get("MinInferenceUnits"), "minInferenceUnits")
    given = call.body.get("MaxInferenceUnits")
    most = None if given is None else inference_units(given, "maxInferenceUnits")
    async with call.change() as session:
        view = await models.start(session, call.deps.settings.limits, call.owner, arn, least, most)
    return {"Status": view.version_status.value}


async def stop_project_version(call: Call) -> Shape:
    """Ask for a version to be hosted no more."""
    arn = validation.version_arn(call.body.get("ProjectVersionArn"))
    async with call.change() as session:
        await models.stop(session, call.owner, arn)
    # Also of one that failed to start, and so has nothing to stop: the protocol has no other word for an answer.
    return {"Status": VersionStatus.STOPPING.value}


def _data(call: Call) -> tuple[GivenManifests | None, bool]:
    """The manifests that a request names instead of datasets, and whether training is to split what it trains on."""
    training = validation.data(call.body.get("TrainingData"), "trainingData")
    testing = validation.data(call.body.get("TestingData"), "testingData")
    train = validation.asset(training.get("Assets"), "trainingData.assets")
    test = validation.asset(testing.get("Assets"), "testingData.assets")
    split = validation.flag(testing.get("AutoCreate"), "testingData.autoCreate") or False
    if test is not None and split:
        raise invalid("true", "testingData.autoCreate", "Member must not be true where testingData has assets")
    if train is None:
        if test is not None:
            raise invalid("null", "trainingData.assets", "Member must be given with testingData.assets")
        return None, split
    if test is None and not split:
        constraint = "Member must be given with trainingData, or testingData.autoCreate be true"
        raise invalid("null", "testingData.assets", constraint)
    return GivenManifests(training=train, testing=test), split
