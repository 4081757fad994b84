"""Who may do what: every operation by every policy of the guide, and through the doors themselves."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from starlette.datastructures import QueryParams

from vigia_registry.http.lookoutvision import access
from vigia_registry.http.lookoutvision.call import Call
from vigia_registry.http.lookoutvision.operations import OPERATIONS
from vigia_registry.http.rest.caller import Action
from vigia_registry.identity.domain import Owner
from vigia_registry.identity.managed import MANAGED
from vigia_registry.objects import asked_rights
from vigia_registry.pagination import Pages
from vigia_runtime.policies import Decision, canonical, decide, user_arn
from vigia_runtime.signin import Credential

from .conftest import REGION, Registry
from .test_errors import refused

ACCOUNT = "123456789012"
ARN = f"arn:aws:lookoutvision:{REGION}:{ACCOUNT}"

# --- the policies that the guide shows ----------------------------------------------------------------------------

ONE_PROJECT = {
    "Sid": "SpecificProjectOnly",
    "Effect": "Allow",
    "Action": ["lookoutvision:DetectAnomalies"],
    "Resource": "arn:aws:lookoutvision:us-east-1:123456789012:model/myproject/*",
}
BY_TAG = {
    "Effect": "Allow",
    "Action": ["LookoutVision:DetectAnomalies"],
    "Resource": "*",
    "Condition": {"StringEquals": {"aws:ResourceTag/stage": "production"}},
}
DENY_BY_TAG = {
    "Effect": "Deny",
    "Action": ["LookoutVision:DeleteModel", "LookoutVision:StopModel"],
    "Resource": "*",
    "Condition": {"StringEquals": {"aws:ResourceTag/stage": "production"}},
}
LAMBDA_ROLE = {
    "Sid": "DetectAnomaliesAccess",
    "Effect": "Allow",
    "Action": "lookoutvision:DetectAnomalies",
    "Resource": "*",
}
VIA_SERVICE = {"Bool": {"aws:ViaAWSService": "true"}}
KEY_ARN = "arn:aws:kms:us-east-1:123456789012:key/k"
#: Policies on other services' things: they are kept, and give nothing of Lookout for Vision.
ELSEWHERE: dict[str, list[dict[str, Any]]] = {
    "bucket": [
        {
            "Sid": "LookoutVisionS3BucketAccessPermissions",
            "Effect": "Allow",
            "Action": ["s3:GetBucketLocation", "s3:ListBucket"],
            "Resource": ["arn:aws:s3:::my-bucket"],
        },
        {
            "Sid": "LookoutVisionS3ObjectAccessPermissions",
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"],
            "Resource": ["arn:aws:s3:::my-bucket/*"],
        },
    ],
    "create dataset and model": [
        {
            "Sid": "LookoutVisionS3BucketAccess",
            "Effect": "Allow",
            "Action": "s3:GetBucketLocation",
            "Resource": ["arn:aws:s3:::my-bucket"],
            "Condition": VIA_SERVICE,
        },
        {
            "Sid": "LookoutVisionS3ObjectAccess",
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"],
            "Resource": ["arn:aws:s3:::my-bucket/*"],
            "Condition": VIA_SERVICE,
        },
    ],
    "export": [
        {
            "Sid": "PutExports",
            "Effect": "Allow",
            "Action": ["S3:PutObjectTagging", "S3:PutObject"],
            "Resource": "arn:aws:s3:::bucket/path/*",
        },
        {
            "Sid": "GetSourceRefs",
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:GetObjectTagging", "s3:GetObjectVersion"],
            "Resource": "*",
        },
    ],
    "getting started": [
        {
            "Sid": "Statement1",
            "Effect": "Allow",
            "Action": ["s3:PutObject"],
            "Resource": ["arn:aws:s3:::bucket/folder/*"],
        }
    ],
    "lambda function's bucket": [
        {"Sid": "S3Access", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bucket/folder/*"}
    ],
    "invoke": [
        {
            "Sid": "LambdaPermission",
            "Effect": "Allow",
            "Action": "lambda:InvokeFunction",
            "Resource": "arn:aws:lambda:us-east-1:123456789012:function:f",
        }
    ],
    "key": [
        {
            "Sid": "LookoutVisionKmsDescribeAccess",
            "Effect": "Allow",
            "Action": "kms:DescribeKey",
            "Resource": KEY_ARN,
        },
        {
            "Sid": "LookoutVisionKmsCreateGrantAccess",
            "Effect": "Allow",
            "Action": "kms:CreateGrant",
            "Resource": KEY_ARN,
            "Condition": {
                "StringLike": {"kms:ViaService": "lookoutvision.*.amazonaws.com"},
                "Bool": {"kms:GrantIsForAWSResource": "true"},
            },
        },
    ],
}


def document(*statements: dict[str, Any]) -> str:
    return canonical({"Version": "2012-10-17", "Statement": list(statements)})


# --- the matrix ---------------------------------------------------------------------------------------------------

ALL = frozenset(operation.name for operation in OPERATIONS)
READS = frozenset(
    {
        "DescribeDataset",
        "DescribeModel",
        "DescribeProject",
        "DescribeModelPackagingJob",
        "ListDatasetEntries",
        "ListModels",
        "ListProjects",
        "ListTagsForResource",
        "ListModelPackagingJobs",
    }
)
NONE: frozenset[str] = frozenset()
DETECT = frozenset({"DetectAnomalies"})
#: What is done to: an operation's resource type, as IAM's reference has it.
PROJECTS = frozenset({"CreateProject", "DescribeProject", "DeleteProject"})
MODELS = frozenset(
    {
        "DescribeModel",
        "DeleteModel",
        "StartModel",
        "StopModel",
        "DetectAnomalies",
        "StartModelPackagingJob",
        "TagResource",
        "UntagResource",
        "ListTagsForResource",
    }
)


@dataclass(frozen=True)
class Scene:
    """A model version, and whether it has the tag ``stage=production``."""

    project: str
    production: bool

    @property
    def version(self) -> str:
        return "2" if self.production else "1"


SCENES = [Scene(project, production) for project in ("myproject", "other") for production in (True, False)]
Expected = Callable[[Scene], frozenset[str]]


def always(operations: frozenset[str]) -> Expected:
    return lambda scene: operations


POLICIES: dict[str, tuple[tuple[str, ...], Expected]] = {
    "nothing": ((), always(NONE)),
    "AmazonLookoutVisionReadOnlyAccess": (
        (MANAGED["AmazonLookoutVisionReadOnlyAccess"].document,),
        always(READS),
    ),
    "AmazonLookoutVisionFullAccess": ((MANAGED["AmazonLookoutVisionFullAccess"].document,), always(ALL)),
    "AmazonLookoutVisionConsoleFullAccess": (
        (MANAGED["AmazonLookoutVisionConsoleFullAccess"].document,),
        always(ALL),
    ),
    "AmazonLookoutVisionConsoleReadOnlyAccess": (
        (MANAGED["AmazonLookoutVisionConsoleReadOnlyAccess"].document,),
        always(READS),
    ),
    **{name: ((MANAGED[name].document,), always(NONE)) for name in ("AmazonS3FullAccess", "AmazonS3ReadOnlyAccess")},
    "AdministratorAccess": ((MANAGED["AdministratorAccess"].document,), always(ALL)),
    **{name: ((MANAGED[name].document,), always(NONE)) for name in ("operator", "reviewer", "engineer", "admin")},
    "one project": (
        (document(ONE_PROJECT),),
        lambda scene: DETECT if scene.project == "myproject" else NONE,
    ),
    "by tag": ((document(BY_TAG),), lambda scene: DETECT if scene.production else NONE),
    "all but by tag": (
        (MANAGED["AmazonLookoutVisionFullAccess"].document, document(DENY_BY_TAG)),
        lambda scene: ALL - {"DeleteModel", "StopModel"} if scene.production else ALL,
    ),
    "deny by tag alone": ((document(DENY_BY_TAG),), always(NONE)),
    "lambda role": ((document(LAMBDA_ROLE),), always(DETECT)),
    "all projects": (
        (document({"Effect": "Allow", "Action": "lookoutvision:*", "Resource": f"{ARN}:project/*"}),),
        always(PROJECTS),
    ),
    "all models": (
        (document({"Effect": "Allow", "Action": "lookoutvision:*", "Resource": f"{ARN}:model/*"}),),
        always(MODELS | {"CreateModel"}),
    ),
    "one version": (
        (document({"Effect": "Allow", "Action": "lookoutvision:*", "Resource": f"{ARN}:model/myproject/2"}),),
        lambda scene: MODELS if scene == Scene("myproject", True) else NONE,
    ),
    "another account": (
        (document({"Effect": "Allow", "Action": "*", "Resource": "arn:aws:lookoutvision:*:999999999999:*"}),),
        always(NONE),
    ),
    "another region": (
        (document({"Effect": "Allow", "Action": "*", "Resource": f"arn:aws:lookoutvision:eu-west-1:{ACCOUNT}:*"}),),
        always(NONE),
    ),
    **{f"{name} of S3, Lambda, KMS": ((document(*rows),), always(NONE)) for name, rows in ELSEWHERE.items()},
}


@pytest.fixture(scope="module")
def plant(registry: Registry) -> Iterator[Registry]:
    """Projects ``myproject`` and ``other`` of the account that the guide's examples name, two versions each."""
    registry.add_key(ACCOUNT, user="builder")
    for project in ("myproject", "other"):
        identity = uuid.uuid4()
        registry.sql(
            "insert into registry.projects (id, account_id, region, name, arn, state, next_version) "
            "values (%s, %s, %s, %s, %s, 'ACTIVE', 3)",
            *(identity, ACCOUNT, REGION, project, f"{ARN}:project/{project}"),
        )
        for version, tags in ((1, {}), (2, {"stage": "production", "line": "oven"})):
            add_version(registry, identity, project, version, tags)
    yield registry
    registry.sql("delete from registry.tags where starts_with(resource_arn, %s)", ARN)
    registry.sql("delete from registry.model_versions where account_id = %s", ACCOUNT)
    registry.sql("delete from registry.projects where account_id = %s", ACCOUNT)


def add_version(registry: Registry, project_id: uuid.UUID, project: str, version: int, tags: dict[str, str]) -> None:
    arn = f"{ARN}:model/{project}/{version}"
    registry.sql(
        "insert into registry.model_versions (id, arn, project_id, account_id, region, version, state, output, "
        "training_manifest) values (gen_random_uuid(), %s, %s, %s, %s, %s, 'TRAINED', "
        '\'{"bucket": "b", "prefix": ""}\', \'{"bucket": "b", "key": "k"}\')',
        *(arn, project_id, ACCOUNT, REGION, version),
    )
    for key, value in tags.items():
        registry.sql("insert into registry.tags (resource_arn, key, value) values (%s, %s, %s)", arn, key, value)


def call(deps: Any, operation: Any, scene: Scene, version: str) -> Call:
    """The call that the door makes of a request for this operation."""
    values = {
        "projectName": scene.project,
        "modelVersion": version,
        "datasetType": "train",
        "jobName": "job",
        "resourceArn": quote(f"{ARN}:model/{scene.project}/{scene.version}", safe=""),
    }
    path = operation.match(operation.path.replace("+}", "}").format(**values).split("/"))
    body = {"CreateProject": {"ProjectName": scene.project}, "StartModelPackagingJob": {"ModelVersion": version}}
    return Call(
        deps=deps,
        pages=Pages("k" * 32),
        operation=operation.name,
        status=operation.status,
        journal=None,
        owner=Owner(ACCOUNT, REGION),
        rights=asked_rights(deps.settings.buckets, None),
        path=path,
        query=QueryParams([("tagKeys", "stage"), ("tagKeys", "line")]),
        body=body.get(operation.name, {}),
        token=None,
    )


def test_there_are_22_operations_and_each_has_its_resource() -> None:
    assert len(ALL) == 22
    assert set(access.RESOURCES) == ALL


def test_every_operation_by_every_policy(plant: Registry) -> None:
    async def ask(deps: Any) -> dict[tuple[Scene, str], access.Access]:
        asked = {}
        for scene in SCENES:
            for operation in OPERATIONS:
                asked[scene, operation.name] = await access.wanted(call(deps, operation, scene, scene.version))
        return asked

    wrong = []
    asked = plant.run(ask)
    for name, (documents, expected) in POLICIES.items():
        caller = Credential("AKID", "s", None, ACCOUNT, user_arn(ACCOUNT, "ana"), documents)
        for (scene, operation), question in asked.items():
            decision = decide(caller, question.action, question.resource, question.context)
            if (decision is Decision.ALLOWED) != (operation in expected(scene)):
                wrong.append((name, operation, scene, decision))
    assert len(asked) * len(POLICIES) > 2000
    assert wrong == []


def test_latest_is_the_version_that_it_stands_for(plant: Registry) -> None:
    describe = next(operation for operation in OPERATIONS if operation.name == "DescribeModel")

    async def ask(deps: Any) -> access.Access:
        return await access.wanted(call(deps, describe, SCENES[0], "latest"))

    question = plant.run(ask)
    assert question.resource == f"{ARN}:model/myproject/2"
    assert question.context == {"aws:ResourceTag/stage": "production", "aws:ResourceTag/line": "oven"}


def test_tags_of_others_and_of_what_cannot_be_are_never_looked_at(plant: Registry) -> None:
    listing = next(operation for operation in OPERATIONS if operation.name == "ListTagsForResource")

    async def ask(deps: Any) -> list[access.Access]:
        made = call(deps, listing, SCENES[0], "2")
        arns = [
            f"arn:aws:lookoutvision:{REGION}:999999999999:model/myproject/2",
            f"arn:aws:lookoutvision:eu-west-1:{ACCOUNT}:model/myproject/2",
            f"{ARN}:model/myproject/latest",
            f"{ARN}:model/my\0project/2",
            f"{ARN}:model/myproject/99999999999999999999",
            "",
            "x" * 5000,
        ]
        return [await access.wanted(_with_arn(made, arn)) for arn in arns]

    for question in plant.run(ask):
        assert question.context == {}
        assert len(question.resource) < 1200


def _with_arn(made: Call, arn: str) -> Call:
    return replace(made, path={"resourceArn": arn})


# --- through the doors --------------------------------------------------------------------------------------------


def client_with(plant: Registry, *documents: str, policies: tuple[str, ...] = ()) -> Any:
    return plant.client(*plant.add_user(f"u-{uuid.uuid4().hex[:8]}", *documents, policies=policies, account=ACCOUNT))


def denied(act: Callable[[], Any]) -> str:
    error = refused(act)
    assert (error["code"], error["status"]) == ("AccessDeniedException", 403)
    return str(error["message"])


@pytest.mark.parametrize("name", [name for name in MANAGED if name.startswith("AmazonLookout")])
def test_managed_policies_at_the_door(plant: Registry, name: str) -> None:
    client = client_with(plant, policies=(f"arn:aws:iam::aws:policy/{name}",))
    assert client.list_projects()["Projects"]
    assert client.describe_model(ProjectName="myproject", ModelVersion="1")["ModelDescription"]["Status"] == "TRAINED"
    new = f"p-{uuid.uuid4().hex[:8]}"
    if "Full" in name:
        client.create_project(ProjectName=new)
        client.delete_project(ProjectName=new)
    else:
        message = denied(lambda: client.create_project(ProjectName=new))
        assert message.endswith(f"lookoutvision:CreateProject on resource: {ARN}:project/{new}")
    other = plant.client(*plant.add_key(ACCOUNT, actions=("lookoutvision:CreateDataset",)))
    assert denied(other.list_projects).endswith("lookoutvision:ListProjects on resource: *")


@pytest.mark.parametrize(
    ("name", "may"),
    [
        ("AmazonLookoutVisionReadOnlyAccess", False),
        ("AmazonLookoutVisionConsoleReadOnlyAccess", True),
        ("AmazonLookoutVisionFullAccess", True),
        ("operator", False),
    ],
)
def test_trials_are_the_consoles(plant: Registry, name: str, may: bool) -> None:
    auth = plant.add_user(f"u-{uuid.uuid4().hex[:8]}", policies=(name,), account=ACCOUNT)
    answer = httpx.get(f"{plant.url}/api/v1/trials", params={"project": "other"}, auth=auth, trust_env=False)
    assert answer.status_code == (200 if may else 403), answer.text


def test_a_tag_protects_what_is_in_production_at_the_door(plant: Registry) -> None:
    client = client_with(plant, document(DENY_BY_TAG), policies=("AmazonLookoutVisionFullAccess",))
    for version in ("2", "latest"):
        message = denied(lambda version=version: client.stop_model(ProjectName="other", ModelVersion=version))
        assert message.endswith(f"lookoutvision:StopModel on resource: {ARN}:model/other/2")
    denied(lambda: client.delete_model(ProjectName="other", ModelVersion="2"))
    assert refused(lambda: client.stop_model(ProjectName="other", ModelVersion="1"))["code"] == "ConflictException"
    assert client.describe_model(ProjectName="other", ModelVersion="2")


def test_examples_that_allow_detection_alone_open_nothing_else_at_this_door(plant: Registry) -> None:
    for row in (ONE_PROJECT, BY_TAG, LAMBDA_ROLE):
        client = client_with(plant, document(row))
        denied(client.list_projects)
        denied(lambda client=client: client.describe_model(ProjectName="myproject", ModelVersion="2"))


def test_a_new_model_must_have_the_tags_that_a_policy_asks_for(plant: Registry) -> None:
    rule = {
        "Effect": "Allow",
        "Action": "lookoutvision:CreateModel",
        "Resource": f"{ARN}:model/myproject/*",
        "Condition": {
            "StringEquals": {"aws:RequestTag/stage": ["test", "trial"]},
            "ForAllValues:StringEquals": {"aws:TagKeys": ["stage", "line"]},
        },
    }
    client = client_with(plant, document(rule))

    def create(project: str = "myproject", **tags: str) -> Callable[[], Any]:
        given = [{"Key": key, "Value": value} for key, value in tags.items()]
        location = {"S3Location": {"Bucket": "some-bucket"}}
        return lambda: client.create_model(ProjectName=project, OutputConfig=location, Tags=given)

    # Let through, to find that there is nothing to train on.
    assert refused(create(stage="test"))["code"] == "ValidationException"
    assert refused(create(stage="trial", line="oven"))["code"] == "ValidationException"
    denied(create())
    denied(create(stage="production"))
    denied(create(stage="test", cost="1"))
    denied(create(project="other", stage="test"))


def test_tags_may_be_given_and_taken_as_far_as_a_policy_says(plant: Registry) -> None:
    rules = [
        {
            "Effect": "Allow",
            "Action": ["lookoutvision:TagResource", "lookoutvision:UntagResource"],
            "Resource": f"{ARN}:model/other/*",
            "Condition": {"ForAllValues:StringEquals": {"aws:TagKeys": ["shift", "cost"]}},
        },
        {
            "Effect": "Deny",
            "Action": "lookoutvision:*Resource",
            "Resource": "*",
            "Condition": {"StringEquals": {"aws:ResourceTag/stage": "production"}},
        },
        {
            "Effect": "Deny",
            "Action": "lookoutvision:TagResource",
            "Resource": "*",
            "Condition": {"StringLike": {"aws:RequestTag/cost": "*secret*"}},
        },
    ]
    client = client_with(plant, document(*rules))
    open_, production = f"{ARN}:model/other/1", f"{ARN}:model/other/2"

    def tag(arn: str = open_, **tags: str) -> Callable[[], Any]:
        given = [{"Key": key, "Value": value} for key, value in tags.items()]
        return lambda: client.tag_resource(ResourceArn=arn, Tags=given)

    tag(shift="late", cost="7")()
    denied(tag(stage="production"))
    denied(tag(shift="late", stage="production"))
    denied(tag(cost="a secret"))
    denied(tag(production, shift="late"))
    denied(tag(open_.replace("other", "myproject"), shift="late"))
    client.untag_resource(ResourceArn=open_, TagKeys=["shift"])
    denied(lambda: client.untag_resource(ResourceArn=open_, TagKeys=["cost", "stage"]))
    denied(lambda: client.untag_resource(ResourceArn=production, TagKeys=["shift"]))
    client.untag_resource(ResourceArn=open_, TagKeys=["cost"])


def test_only_a_model_with_the_tag_may_be_described(plant: Registry) -> None:
    rule = {**BY_TAG, "Action": "lookoutvision:DescribeModel"}
    client = client_with(plant, document(rule))
    assert client.describe_model(ProjectName="other", ModelVersion="2")
    assert client.describe_model(ProjectName="other", ModelVersion="latest")
    denied(lambda: client.describe_model(ProjectName="other", ModelVersion="1"))
    # Of what does not exist nothing is said, not even that.
    denied(lambda: client.describe_model(ProjectName="other", ModelVersion="9"))
    denied(lambda: client.describe_model(ProjectName="nobody", ModelVersion="1"))


# --- the roles of people at a line --------------------------------------------------------------------------------

VIGIA = [
    *(action.value for action in Action if action.startswith("vigia:")),
    *("vigia:PutFrame", "vigia:ReadInspections", "vigia:ReviewInspections"),
]


@pytest.mark.parametrize(
    ("role", "may"),
    [
        ("operator", {"vigia:ReadInspections", "vigia:ReadCameras", "vigia:PutFrame", "vigia:ChangeCameras"}),
        ("reviewer", {"vigia:ReadInspections", "vigia:ReadCameras", "vigia:ReviewInspections"}),
    ],
)
def test_roles_of_the_line(role: str, may: set[str]) -> None:
    caller = Credential("AKID", "s", None, ACCOUNT, user_arn(ACCOUNT, "ana"), (MANAGED[role].document,))
    for action in VIGIA:
        allowed = action in may or action.startswith("vigia:Read")
        assert (decide(caller, action, "*") is Decision.ALLOWED) is allowed, action


def test_engineers_may_do_all_but_manage_identities_and_admins_that_too() -> None:
    for role in ("engineer", "admin"):
        caller = Credential("AKID", "s", None, ACCOUNT, user_arn(ACCOUNT, "ana"), (MANAGED[role].document,))
        for action in VIGIA:
            allowed = role == "admin" or action != Action.MANAGE_IDENTITY
            assert (decide(caller, action, "*") is Decision.ALLOWED) is allowed, action
