"""What Vigia reads and writes for a caller needs S3 actions of the caller's policies, where the installation asks."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from vigia_registry.entrypoints import http
from vigia_registry.identity.managed import MANAGED
from vigia_registry.jobs import tasks
from vigia_registry.objects import asked_rights
from vigia_registry.settings import IdentitySettings, Settings
from vigia_registry.trials import adding
from vigia_runtime.errors import AccessDenied
from vigia_runtime.policies import Decision, canonical, decide, user_arn
from vigia_runtime.settings import BucketSettings, HttpSettings
from vigia_runtime.signin import Credential

from .artifacts import picture
from .components import greengrass
from .conftest import ACCOUNT, BUCKET, Registry, Running, answers, free_port, until
from .manifests import IMAGES, line, manifest
from .test_errors import refused
from .test_lifecycle import settled
from .trials import Api
from .versions import trained

LOOKOUT = "AmazonLookoutVisionFullAccess"
VIA_SERVICE = {"Bool": {"aws:ViaAWSService": "true"}}
#: The guide's policy for CreateDataset and CreateModel, its bucket filled in.
GUIDE = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "LookoutVisionS3BucketAccess",
            "Effect": "Allow",
            "Action": "s3:GetBucketLocation",
            "Resource": [f"arn:aws:s3:::{BUCKET}"],
            "Condition": VIA_SERVICE,
        },
        {
            "Sid": "LookoutVisionS3ObjectAccess",
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"],
            "Resource": [f"arn:aws:s3:::{BUCKET}/*"],
            "Condition": VIA_SERVICE,
        },
    ],
}


def document(*statements: dict[str, Any]) -> str:
    return canonical({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action: str, path: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": f"arn:aws:s3:::{path}"}


def deny(action: str, path: str) -> str:
    return document({**allow(action, path), "Effect": "Deny"})


def caller(*documents: str, session: tuple[str, ...] | None = None) -> Credential:
    return Credential("AKID", "s", None, ACCOUNT, user_arn(ACCOUNT, "ana"), documents, session_policies=session)


# --- the question -------------------------------------------------------------------------------------------------


def asks(who: Credential | None, action: str, bucket: str, key: str | None = None) -> str | None:
    """The refusal, None where there is none."""
    try:
        asked_rights(BucketSettings(), who).require(action, bucket, key)
    except AccessDenied as error:
        return error.message
    return None


def test_the_guides_policy_holds_for_what_is_done_on_the_callers_behalf() -> None:
    ana = caller(canonical(GUIDE))
    assert asks(ana, "GetBucketLocation", BUCKET) is None
    for action in ("GetObject", "GetObjectVersion", "PutObject"):
        assert asks(ana, action, BUCKET, "a/b:c.jpg") is None
        assert asks(ana, action, f"{BUCKET}-2", "a") == (
            f"User: arn:aws:iam::{ACCOUNT}:user/ana is not authorized to perform: s3:{action} on resource: "
            f"arn:aws:s3:::{BUCKET}-2/a"
        )
        # Not by itself.
        assert decide(ana, f"s3:{action}", f"arn:aws:s3:::{BUCKET}/a") is Decision.IMPLICIT_DENY
    assert asks(ana, "ListBucket", BUCKET) is not None
    assert asks(ana, "GetBucketLocation", f"{BUCKET}-2") is not None


def test_denials_sessions_and_vigias_own_buckets() -> None:
    ana = caller(canonical(GUIDE), deny("s3:GetObject", f"{BUCKET}/secret/*"))
    assert asks(ana, "GetObject", BUCKET, "open/a") is None
    assert asks(ana, "GetObject", BUCKET, "secret/a") is not None
    bound = caller(canonical(GUIDE), session=(document(allow("s3:Get*", f"{BUCKET}/*")),))
    assert asks(bound, "GetObject", BUCKET, "a") is None
    assert asks(bound, "PutObject", BUCKET, "a") is not None
    # There the fence decides.
    assert asks(caller(), "GetObject", BucketSettings().datasets, f"{ACCOUNT}/a") is None
    assert asks(None, "GetObject", BUCKET, "a") is None


def test_lists_say_their_prefix() -> None:
    limited = {**allow("s3:ListBucket", BUCKET), "Condition": {"StringLike": {"s3:prefix": "line-1/*"}}}
    rights = asked_rights(BucketSettings(), caller(document(limited)))
    rights.require_list(BUCKET, "line-1/today/")
    with pytest.raises(AccessDenied):
        rights.require_list(BUCKET, "line-2/")


def test_the_managed_policies_of_s3() -> None:
    for name, writes in (("AmazonS3FullAccess", True), ("AmazonS3ReadOnlyAccess", False)):
        ana = caller(MANAGED[name].document)
        assert asks(ana, "GetBucketLocation", BUCKET) is None
        for action in ("GetObject", "GetObjectVersion", "ListBucket"):
            assert asks(ana, action, BUCKET, "a") is None
        assert (asks(ana, "PutObject", BUCKET, "a") is None) is writes
    assert asks(caller(MANAGED[LOOKOUT].document), "GetObject", BUCKET, "a") is not None
    assert asks(caller(MANAGED["AdministratorAccess"].document), "PutObject", BUCKET, "a") is None


def test_what_is_added_of_a_trial_is_read_and_its_copies_are_written() -> None:
    images = [SimpleNamespace(key="trial/1.jpg")]
    addition: Any = SimpleNamespace(
        trial=SimpleNamespace(source=SimpleNamespace(bucket=BUCKET)),
        images=images,
        copies=[SimpleNamespace(target=(BUCKET, "vigia-trials/p/t/masks/00001.png"))],
    )
    adding.check(asked_rights(BucketSettings(), caller(canonical(GUIDE))), addition)
    for action, path in (("s3:GetObject", "trial/*"), ("s3:PutObject", "vigia-trials/*")):
        rights = asked_rights(BucketSettings(), caller(canonical(GUIDE), deny(action, f"{BUCKET}/{path}")))
        with pytest.raises(AccessDenied, match=action):
            adding.check(rights, addition)


# --- through the doors --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def asking(registry: Registry) -> Iterator[Registry]:
    """A further HTTP process of the registry, which asks for S3 actions; the worker is the other's."""
    changed = {"identity": IdentitySettings(s3_policies=True), "http": HttpSettings(port=free_port())}
    made = Registry(registry.settings.model_copy(update=changed), registry.store)
    running = Running(http.main, made.settings)
    until(partial(answers, made.url))
    yield made
    running.stop()


def user(asking: Registry, *documents: str, policies: tuple[str, ...] = (LOOKOUT,)) -> tuple[str, str]:
    return asking.add_user(f"u-{uuid.uuid4().hex[:8]}", *documents, policies=policies)


def denied(act: Callable[[], Any]) -> str:
    error = refused(act)
    assert (error["code"], error["status"]) == ("AccessDeniedException", 403)
    return str(error["message"]).partition("perform: ")[2]


def imports(client: Any, project: str, place: dict[str, str]) -> Callable[[], Any]:
    source = {"GroundTruthManifest": {"S3Object": place}}
    return lambda: client.create_dataset(ProjectName=project, DatasetType="train", DatasetSource=source)


def trains(client: Any, project: str, prefix: str = "results") -> Callable[[], Any]:
    output = {"S3Location": {"Bucket": BUCKET, "Prefix": prefix}}
    return lambda: client.create_model(ProjectName=project, OutputConfig=output)


def test_the_setting_is_off_unless_it_is_chosen(registry: Registry, project: str) -> None:
    assert Settings.model_fields["identity"].default.s3_policies is False
    client = registry.client(*user(registry))
    imports(client, project, registry.put(manifest(1, 1)))()
    assert settled(client, project)["Status"] == "CREATE_COMPLETE"


def test_the_guides_policy_suffices_for_a_dataset_and_a_model(asking: Registry, project: str) -> None:
    client = asking.client(*user(asking, canonical(GUIDE)))
    place = asking.put(manifest(31, 32, "cracked", bucket=BUCKET))
    imports(client, project, place)()
    assert settled(client, project)["Status"] == "CREATE_COMPLETE"
    trains(client, project)()
    assert [model["Status"] for model in client.list_models(ProjectName=project)["Models"]] == ["TRAINING"]


@pytest.mark.parametrize("action", ["GetBucketLocation", "GetObject", "GetObjectVersion"])
def test_a_manifest_that_the_caller_may_not_read(asking: Registry, project: str, action: str) -> None:
    place = asking.put(manifest(1, 1, bucket=BUCKET))
    path = BUCKET if action == "GetBucketLocation" else f"{BUCKET}/{place['Key']}"
    client = asking.client(*user(asking, canonical(GUIDE), deny(f"s3:{action}", path)))
    versioned = {**place, "VersionId": "v1"} if action == "GetObjectVersion" else place
    assert denied(imports(client, project, versioned)) == f"s3:{action} on resource: arn:aws:s3:::{path}"
    assert client.describe_project(ProjectName=project)["ProjectDescription"]["Datasets"] == []


def test_a_bucket_is_not_told_to_who_may_not_ask(asking: Registry, project: str) -> None:
    client = asking.client(*user(asking))
    place = {"Bucket": "registry-tests-no-such-bucket", "Key": "k"}
    assert denied(imports(client, project, place)).startswith("s3:GetBucketLocation")


def test_a_line_with_an_image_that_the_caller_may_not_read(asking: Registry, project: str) -> None:
    client = asking.client(*user(asking, canonical(GUIDE)))
    imports(client, project, asking.put(manifest(1, 1)))()
    dataset = settled(client, project)
    assert dataset["Status"] == "CREATE_FAILED"
    refusal = "is not authorized to perform: s3:GetObject on resource: arn:aws:s3:::"
    assert dataset["StatusMessage"].startswith("Line 1: User: ")
    assert dataset["StatusMessage"].endswith(f"{refusal}{IMAGES}/images/normal-0.jpg")


def test_changes_with_an_image_or_a_mask_that_the_caller_may_not_read(asking: Registry, project: str) -> None:
    client = asking.client(*user(asking, canonical(GUIDE), deny("s3:GetObject", f"{BUCKET}/masks/*")))
    imports(client, project, asking.put(manifest(1, 0, bucket=BUCKET)))()
    assert settled(client, project)["Status"] == "CREATE_COMPLETE"
    lines = [line("a", True, bucket=BUCKET), line("b", True, "cracked", BUCKET)]
    where = {"ProjectName": project, "DatasetType": "train"}
    client.update_dataset_entries(**where, Changes="\n".join(lines).encode())
    dataset = settled(client, project)
    assert dataset["Status"] == "UPDATE_FAILED_ROLLBACK_COMPLETE"
    assert dataset["StatusMessage"].startswith("Line 2: User: ")
    assert dataset["StatusMessage"].endswith(f"arn:aws:s3:::{BUCKET}/masks/b.png")
    assert len(client.list_dataset_entries(**where)["DatasetEntries"]) == 1


def test_an_import_asked_for_with_a_key_that_is_gone_fails(asking: Registry, lookout: Any, project: str) -> None:
    place = {"bucket": BUCKET, "key": asking.put(manifest(1, 1, bucket=BUCKET))["Key"]}
    identity = uuid.uuid4()
    asking.sql(
        "insert into registry.datasets (id, project_id, kind, state, source) "
        "select %s, id, 'train', 'CREATE_IN_PROGRESS', %s from registry.projects where name = %s",
        *(identity, json.dumps(place), project),
    )

    async def attempt(deps: Any) -> None:
        context: Any = SimpleNamespace(job=SimpleNamespace(attempts=0), additional_context={tasks.DEPS: deps})
        await tasks._import_entries(context, str(identity), "AKIAGONE000000000000")

    asking.run(attempt)
    dataset = settled(lookout, project)
    assert dataset["Status"] == "CREATE_FAILED"
    assert "AKIAGONE000000000000" in dataset["StatusMessage"]


@pytest.mark.parametrize(
    ("action", "path"),
    [
        ("GetBucketLocation", BUCKET),
        ("PutObject", f"{BUCKET}/results/EvaluationResult-*-1.json"),
        ("PutObject", f"{BUCKET}/results/EvaluationReport-*-1.html"),
        ("GetObject", f"{BUCKET}/masks/anomaly-31.png"),
    ],
)
def test_a_model_that_the_caller_may_not_make(
    asking: Registry, lookout: Any, project: str, action: str, path: str
) -> None:
    imports(lookout, project, asking.put(manifest(31, 32, "cracked", bucket=BUCKET)))()
    settled(lookout, project)
    client = asking.client(*user(asking, canonical(GUIDE), deny(f"s3:{action}", path)))
    resource = f"arn:aws:s3:::{path.replace('*', project)}"
    assert denied(trains(client, project)) == f"s3:{action} on resource: {resource}"
    assert client.list_models(ProjectName=project)["Models"] == []


def test_results_may_be_limited_to_a_prefix(asking: Registry, lookout: Any, project: str) -> None:
    imports(lookout, project, asking.put(manifest(31, 32, "cracked", bucket=BUCKET)))()
    settled(lookout, project)
    reads = [allow("s3:GetBucketLocation", BUCKET), allow("s3:GetObject", f"{BUCKET}/*")]
    client = asking.client(*user(asking, document(*reads, allow("s3:PutObject", f"{BUCKET}/results/mine/*"))))
    for prefix in ("results", "results/mine-not", ""):
        assert denied(trains(client, project, prefix)).startswith("s3:PutObject")
    assert client.list_models(ProjectName=project)["Models"] == []
    for prefix in ("results/mine", "results/mine/", "results/mine/today"):
        trains(client, project, prefix)()


def test_a_component_that_the_caller_may_not_write(asking: Registry, project: str) -> None:
    trained(asking, project)
    configuration = greengrass("Inspector")
    for documents in ((), (canonical(GUIDE), deny("s3:PutObject", f"{BUCKET}/edge/Inspector/*/recipe.json"))):
        client = asking.client(*user(asking, *documents))
        act = partial(
            client.start_model_packaging_job, ProjectName=project, ModelVersion="1", Configuration=configuration
        )
        assert denied(act).startswith(f"s3:PutObject on resource: arn:aws:s3:::{BUCKET}/edge/Inspector/")
        assert client.list_model_packaging_jobs(ProjectName=project)["ModelPackagingJobs"] == []
    client = asking.client(*user(asking, document(allow("s3:PutObject", f"{BUCKET}/edge/*"))))
    client.start_model_packaging_job(ProjectName=project, ModelVersion="1", Configuration=configuration)


def test_trials_of_images_that_the_caller_may_not_read(asking: Registry, project: str) -> None:
    trained(asking, project)
    folder = f"trial-{uuid.uuid4().hex[:8]}"
    asking.put(picture(200, 30), f"{folder}/a.png")
    uri = f"s3://{BUCKET}/{folder}"
    listing = document(allow("s3:ListBucket", BUCKET))
    sources = {"folder": {"kind": "folder", "uri": f"{uri}/"}, "images": {"kind": "images", "uris": [f"{uri}/a.png"]}}
    stranger = Api(asking.url, *user(asking))
    lister = Api(asking.url, *user(asking, listing))
    for api, kind, action in (
        (stranger, "folder", "s3:ListBucket"),
        (lister, "folder", "s3:GetObject"),
        (stranger, "images", "s3:GetObject"),
    ):
        body = {"project": project, "name": "t", "source": sources[kind]}
        problem = api.refused(403, "POST", "/trials", json=body)
        assert f"perform: {action} on resource: arn:aws:s3:::{BUCKET}" in json.dumps(problem)
    assert stranger.ok("GET", "/trials", params={"project": project})["items"] == []
    reader = Api(asking.url, *user(asking, canonical(GUIDE), listing))
    trial = reader.create(project, sources["folder"])
    reader.create(project, sources["images"])
    assert reader.bytes_of(trial, 1, "file").status_code == 200
    assert stranger.bytes_of(trial, 1, "file").status_code == 403
    for api in (stranger, lister, reader):
        api.client.close()
