"""Who may do what in Custom Labels: every operation by every policy that the guide shows, and through the door."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from vigia_registry.http.customlabels import access
from vigia_registry.http.customlabels.call import Call
from vigia_registry.http.customlabels.operations import OPERATIONS
from vigia_registry.identity.domain import Owner, Service
from vigia_registry.identity.managed import MANAGED
from vigia_registry.objects import asked_rights
from vigia_registry.pagination import Pages
from vigia_runtime.policies import Decision, canonical, decide, user_arn
from vigia_runtime.signin import Credential

from .conftest import BUCKET, REGION, Registry
from .test_customlabels_projects import refused
from .versions import labelled

ACCOUNT = "123456789013"
OWN = f"arn:aws:rekognition:{REGION}:{ACCOUNT}"
OWNER = Owner(ACCOUNT, REGION, Service.CUSTOM_LABELS)

# --- the policies that the guide shows ----------------------------------------------------------------------------

MY_VERSION = "arn:aws:rekognition:*:*:project/MyProject/version/MyVersion/*"
PROJECTS_AND_MODELS: list[dict[str, Any]] = [
    {"Sid": "AllResources", "Effect": "Allow", "Action": "rekognition:DescribeProjects", "Resource": "*"},
    {
        "Sid": "SpecificProjectVersion",
        "Effect": "Allow",
        "Action": [
            "rekognition:StopProjectVersion",
            "rekognition:StartProjectVersion",
            "rekognition:DetectCustomLabels",
            "rekognition:CreateProjectVersion",
        ],
        "Resource": MY_VERSION,
    },
    {
        "Sid": "SpecificProject",
        "Effect": "Allow",
        "Action": [
            "rekognition:CreateProject",
            "rekognition:DescribeProjectVersions",
            "rekognition:CreateProjectVersion",
        ],
        "Resource": "arn:aws:rekognition:*:*:project/MyProject/*",
    },
    {
        "Sid": "ExplicitDenyCreateProject",
        "Effect": "Deny",
        "Action": ["rekognition:CreateProject"],
        "Resource": ["arn:aws:rekognition:*:*:project/SampleProject/*"],
    },
]
DETECT_ONE = {"Effect": "Allow", "Action": ["rekognition:DetectCustomLabels"], "Resource": MY_VERSION}
LAMBDA_ROLE = {"Effect": "Allow", "Action": "rekognition:DetectCustomLabels", "Resource": "*"}
CONSOLE = [
    {"Effect": "Allow", "Action": ["s3:ListBucket", "s3:ListAllMyBuckets"], "Resource": "*"},
    {"Effect": "Allow", "Action": ["rekognition:*", "groundtruthlabeling:*"], "Resource": "*"},
]
EXTERNAL_BUCKET = {
    "Effect": "Allow",
    "Action": ["s3:GetBucketAcl", "s3:GetBucketLocation", "s3:GetObject", "s3:ListBucket", "s3:PutObject"],
    "Resource": ["arn:aws:s3:::my-bucket*"],
}
BY_TAG = {
    "Effect": "Allow",
    "Action": "rekognition:*",
    "Resource": "*",
    "Condition": {"StringEquals": {"aws:ResourceTag/stage": "production"}},
}


def document(*statements: dict[str, Any]) -> str:
    return canonical({"Version": "2012-10-17", "Statement": list(statements)})


# --- the matrix ---------------------------------------------------------------------------------------------------

ALL = frozenset(OPERATIONS)
NONE: frozenset[str] = frozenset()
READS = frozenset(
    {
        "DescribeProjects",
        "DescribeProjectVersions",
        "DetectCustomLabels",
        "ListTagsForResource",
        "ListDatasetEntries",
        "ListDatasetLabels",
        "DescribeDataset",
        "ListProjectPolicies",
    }
)
#: What is done to: an operation's resource types, as IAM's reference has them. One that is done to two needs both.
OF_VERSIONS = frozenset(
    {
        "DeleteProjectVersion",
        "StartProjectVersion",
        "StopProjectVersion",
        "DetectCustomLabels",
        "TagResource",
        "UntagResource",
        "ListTagsForResource",
    }
)
OF_DATASETS = frozenset(
    {
        "DescribeDataset",
        "DeleteDataset",
        "ListDatasetEntries",
        "ListDatasetLabels",
        "UpdateDatasetEntries",
        "DistributeDatasetEntries",
    }
)
OF_ALL = frozenset({"DescribeProjects"})


@dataclass(frozen=True)
class Scene:
    """A model version, and whether it has the tag ``stage=production``."""

    project: str
    version: str

    @property
    def production(self) -> bool:
        return self.version == "MyVersion"


SCENES = [Scene(project, version) for project in ("MyProject", "SampleProject") for version in ("MyVersion", "Other")]
Expected = Callable[[Scene], frozenset[str]]


def always(operations: frozenset[str]) -> Expected:
    return lambda scene: operations


def as_the_guide_says(scene: Scene) -> frozenset[str]:
    if scene.project != "MyProject":
        return OF_ALL
    of_project = OF_ALL | {"CreateProject", "DescribeProjectVersions", "CreateProjectVersion"}
    of_version = {"StopProjectVersion", "StartProjectVersion", "DetectCustomLabels"}
    return of_project | of_version if scene.version == "MyVersion" else of_project


POLICIES: dict[str, tuple[tuple[str, ...], Expected]] = {
    "nothing": ((), always(NONE)),
    "AmazonRekognitionCustomLabelsFullAccess": (
        (MANAGED["AmazonRekognitionCustomLabelsFullAccess"].document,),
        always(ALL),
    ),
    "AmazonRekognitionFullAccess": ((MANAGED["AmazonRekognitionFullAccess"].document,), always(ALL)),
    "AmazonRekognitionReadOnlyAccess": ((MANAGED["AmazonRekognitionReadOnlyAccess"].document,), always(READS)),
    "AdministratorAccess": ((MANAGED["AdministratorAccess"].document,), always(ALL)),
    **{
        name: ((MANAGED[name].document,), always(NONE))
        for name in ("AmazonLookoutVisionFullAccess", "AmazonS3FullAccess", "operator", "reviewer", "engineer", "admin")
    },
    "projects and models": ((document(*PROJECTS_AND_MODELS),), as_the_guide_says),
    "full but one project": (
        (MANAGED["AmazonRekognitionFullAccess"].document, document(*PROJECTS_AND_MODELS)),
        lambda scene: ALL - {"CreateProject"} if scene.project == "SampleProject" else ALL,
    ),
    "detect with one": (
        (document(DETECT_ONE),),
        lambda scene: frozenset({"DetectCustomLabels"}) if scene == Scene("MyProject", "MyVersion") else NONE,
    ),
    "lambda role": ((document(LAMBDA_ROLE),), always(frozenset({"DetectCustomLabels"}))),
    "console": ((document(*CONSOLE),), always(ALL)),
    "external bucket": ((document(EXTERNAL_BUCKET),), always(NONE)),
    "versions of one project": (
        (document({"Effect": "Allow", "Action": "rekognition:*", "Resource": f"{OWN}:project/MyProject/version/*"}),),
        lambda scene: OF_VERSIONS if scene.project == "MyProject" else NONE,
    ),
    "one version and its project": (
        (
            document(
                {"Effect": "Allow", "Action": "rekognition:*", "Resource": f"{OWN}:project/MyProject/version/Other/*"},
                {"Effect": "Allow", "Action": "rekognition:*", "Resource": f"{OWN}:project/MyProject/1?????????1"},
            ),
        ),
        lambda scene: (
            ALL - OF_ALL - OF_DATASETS - {"CreateProject"}
            if scene == Scene("MyProject", "Other")
            else ALL - OF_ALL - OF_DATASETS - OF_VERSIONS - {"CreateProject", "CreateProjectVersion", _COPY}
            if scene.project == "MyProject"
            else NONE
        ),
    ),
    "datasets": (
        (document({"Effect": "Allow", "Action": "rekognition:*", "Resource": f"{OWN}:project/*/dataset/*"}),),
        always(OF_DATASETS),
    ),
    "by tag": ((document(BY_TAG),), lambda scene: OF_VERSIONS if scene.production else NONE),
    "another account": (
        (document({"Effect": "Allow", "Action": "*", "Resource": "arn:aws:rekognition:*:999999999999:*"}),),
        always(NONE),
    ),
    "another region": (
        (document({"Effect": "Allow", "Action": "*", "Resource": f"arn:aws:rekognition:eu-west-1:{ACCOUNT}:*"}),),
        always(NONE),
    ),
}
_COPY = "CopyProjectVersion"


def project_arn(project: str) -> str:
    return f"{OWN}:project/{project}/10000000001"


def version_arn(scene: Scene) -> str:
    return f"{OWN}:project/{scene.project}/version/{scene.version}/20000000001"


def dataset_arn(scene: Scene) -> str:
    return f"{OWN}:project/{scene.project}/dataset/train/30000000001"


def body(operation: str, scene: Scene) -> dict[str, Any]:
    """What a request of the operation says of the scene."""
    project, version, dataset = project_arn(scene.project), version_arn(scene), dataset_arn(scene)
    match operation:
        case "CreateProject":
            return {"ProjectName": scene.project}
        case "DescribeProjects":
            return {"ProjectNames": [scene.project]}
        case "CreateProjectVersion":
            return {"ProjectArn": project, "VersionName": scene.version}
        case "CopyProjectVersion":
            return {"SourceProjectVersionArn": version, "DestinationProjectArn": project}
        case "DistributeDatasetEntries":
            return {"Datasets": [{"Arn": dataset}, {"Arn": dataset.replace("train", "test")}]}
        case _:
            member = access.MEMBERS[operation]
            return {member: {"ProjectArn": project, "DatasetArn": dataset}.get(member, version)}


def call(deps: Any, operation: str, given: dict[str, Any]) -> Call:
    """The call that the door makes of a request for this operation."""
    return Call(
        deps=deps,
        pages=Pages("k" * 32),
        operation=operation,
        journal=None,  # type: ignore[arg-type]
        caller=Credential("AKID", "s", None, ACCOUNT, user_arn(ACCOUNT, "ana"), ()),
        owner=OWNER,
        rights=asked_rights(deps.settings.buckets, None),
        body=given,
    )


@pytest.fixture(scope="module")
def plant(registry: Registry) -> Iterator[Registry]:
    """Tags of versions; nothing else of them is asked for."""
    for scene in SCENES:
        if scene.production:
            registry.sql("insert into registry.tags values (%s, 'stage', 'production')", version_arn(scene))
    yield registry
    registry.sql("delete from registry.tags where starts_with(resource_arn, %s)", OWN)


def test_there_are_23_operations_and_each_has_its_resource(plant: Registry) -> None:
    assert len(ALL) == 23

    async def ask(deps: Any) -> None:
        for operation in ALL - {"DescribeProjects"}:
            found = access.resources(call(deps, operation, body(operation, SCENES[0])))
            assert found, operation
            assert all(resource.startswith(OWN) for resource in found), operation

    plant.run(ask)


def test_every_operation_by_every_policy(plant: Registry) -> None:
    async def ask(deps: Any) -> dict[tuple[Scene, str], list[access.Access]]:
        return {
            (scene, operation): await access.wanted(call(deps, operation, body(operation, scene)))
            for scene in SCENES
            for operation in OPERATIONS
        }

    wrong = []
    asked = plant.run(ask)
    for name, (documents, expected) in POLICIES.items():
        caller = Credential("AKID", "s", None, ACCOUNT, user_arn(ACCOUNT, "ana"), documents)
        for (scene, operation), questions in asked.items():
            decisions = [decide(caller, one.action, one.resource, one.context) for one in questions]
            allowed = all(decision is Decision.ALLOWED for decision in decisions)
            if allowed != (operation in expected(scene)):
                wrong.append((name, operation, scene, decisions))
    assert len(asked) * len(POLICIES) > 1900
    assert wrong == []


def test_tags_of_others_and_of_what_cannot_be_are_never_looked_at(plant: Registry) -> None:
    own = version_arn(SCENES[0])
    foreign = own.replace(ACCOUNT, "999999999999")
    plant.sql("insert into registry.tags values (%s, 'stage', 'production')", foreign)
    arns = [foreign, own.replace(REGION, "eu-west-1"), own.replace("MyProject", "My\0Project"), "", "x" * 5000, 7]

    async def ask(deps: Any) -> list[access.Access]:
        made = [call(deps, "ListTagsForResource", {"ResourceArn": arn}) for arn in arns]
        return [question for one in made for question in await access.wanted(one)]

    questions = plant.run(ask)
    plant.sql("delete from registry.tags where resource_arn = %s", foreign)
    assert len(questions) == len(arns)
    assert all(question.context == {} for question in questions)


# --- through the door ---------------------------------------------------------------------------------------------


def client_with(plant: Registry, *documents: str, policies: tuple[str, ...] = ()) -> Any:
    name = f"u-{uuid.uuid4().hex[:8]}"
    return plant.rekognition(*plant.add_user(name, *documents, policies=policies, account=ACCOUNT))


def denied(act: Callable[[], Any]) -> str:
    code, message = refused(act)
    assert code == "AccessDeniedException"
    return message


@pytest.mark.parametrize("name", [name for name in MANAGED if name.startswith("AmazonRekognition")])
def test_managed_policies_at_the_door(plant: Registry, name: str) -> None:
    client = client_with(plant, policies=(f"arn:aws:iam::aws:policy/{name}",))
    new = f"p-{uuid.uuid4().hex[:8]}"
    assert client.describe_projects(ProjectNames=[new])["ProjectDescriptions"] == []
    if "Full" in name:
        arn = client.create_project(ProjectName=new)["ProjectArn"]
        assert client.list_project_policies(ProjectArn=arn)["ProjectPolicies"] == []
        client.delete_project(ProjectArn=arn)
    else:
        message = denied(lambda: client.create_project(ProjectName=new))
        assert message.endswith(f"rekognition:CreateProject on resource: {OWN}:project/{new}/*")


def test_the_guides_policy_at_the_door(plant: Registry) -> None:
    builder = client_with(plant, policies=("AmazonRekognitionFullAccess",))
    client = client_with(plant, document(*PROJECTS_AND_MODELS))
    project = client.create_project(ProjectName="MyProject")["ProjectArn"]
    denied(lambda: client.create_project(ProjectName="SampleProject"))
    mine = labelled(plant, project, "MyVersion", ACCOUNT)
    other = labelled(plant, project, "Other", ACCOUNT)
    assert len(client.describe_project_versions(ProjectArn=project)["ProjectVersionDescriptions"]) == 2
    assert client.start_project_version(ProjectVersionArn=mine, MinInferenceUnits=1)["Status"] == "STARTING"
    message = denied(lambda: client.start_project_version(ProjectVersionArn=other, MinInferenceUnits=1))
    assert message.endswith(f"rekognition:StartProjectVersion on resource: {other}")
    denied(lambda: client.delete_project_version(ProjectVersionArn=mine))
    # Let through, to find that there is nothing to train on.
    output = {"S3Bucket": BUCKET}
    request = {"ProjectArn": project, "VersionName": "next", "OutputConfig": output}
    assert refused(lambda: client.create_project_version(**request))[0] == "InvalidParameterException"
    plant.sql("delete from registry.model_versions where account_id = %s", ACCOUNT)
    builder.delete_project(ProjectArn=project)


def test_a_new_version_must_have_the_tags_that_a_policy_asks_for(plant: Registry) -> None:
    project = client_with(plant, policies=("AmazonRekognitionFullAccess",)).create_project(
        ProjectName=f"p-{uuid.uuid4().hex[:8]}"
    )["ProjectArn"]
    rule = {
        "Effect": "Allow",
        "Action": "rekognition:CreateProjectVersion",
        "Resource": f"{OWN}:project/*",
        "Condition": {
            "StringEquals": {"aws:RequestTag/stage": ["test", "trial"]},
            "ForAllValues:StringEquals": {"aws:TagKeys": ["stage", "line"]},
        },
    }
    client = client_with(plant, document(rule))

    def create(**tags: str) -> Callable[[], Any]:
        request = {"ProjectArn": project, "VersionName": "v", "OutputConfig": {"S3Bucket": BUCKET}, "Tags": tags}
        return lambda: client.create_project_version(**request)

    assert refused(create(stage="test"))[0] == "InvalidParameterException"
    assert refused(create(stage="trial", line="oven"))[0] == "InvalidParameterException"
    denied(create())
    denied(create(stage="production"))
    denied(create(stage="test", cost="1"))
