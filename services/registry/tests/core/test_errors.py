"""Every error of the protocol that this service can give, as boto3 sees it, and that nothing is left half-made."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from vigia_contracts.base import ObjectRef
from vigia_registry.datasets import service as datasets
from vigia_registry.datasets.errors import ManifestUnavailable
from vigia_registry.objects import asked_rights, fence_of

from .conftest import BUCKET, KEY, REGION, SECRET, Registry
from .manifests import line, manifest
from .test_lifecycle import OUTPUT, becomes, completed, report, requests_for, settled, trainable
from .versions import trained


def refused(call: Callable[[], Any]) -> dict[str, Any]:
    """The error's code, status, message and members."""
    with pytest.raises(ClientError) as caught:
        call()
    response = caught.value.response
    headers = response["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amzn-errortype"] == response["Error"]["Code"]
    assert headers["x-amzn-requestid"] == response["ResponseMetadata"]["RequestId"]
    assert response["Error"]["Message"]
    return {
        "code": response["Error"]["Code"],
        "status": response["ResponseMetadata"]["HTTPStatusCode"],
        "message": response["Error"]["Message"],
        "type": response.get("ResourceType"),
        "id": response.get("ResourceId"),
        "quota": response.get("QuotaCode"),
        "service": response.get("ServiceCode"),
    }


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("create_project", {"ProjectName": "-starts-with-a-dash"}),
        ("create_project", {"ProjectName": "has blank"}),
        ("create_project", {"ProjectName": "a" * 256}),
        ("create_project", {}),
        ("create_project", {"ProjectName": "good", "ClientToken": "bad token"}),
        ("create_project", {"ProjectName": "good", "ClientToken": "t" * 65}),
        ("describe_project", {"ProjectName": "a.b"}),
        ("list_projects", {"MaxResults": 101}),
        ("list_projects", {"MaxResults": 0}),
        ("list_projects", {"NextToken": "not ours"}),
        ("list_projects", {"NextToken": "bm90IG91cnM="}),
        ("create_dataset", {"ProjectName": "p", "DatasetType": "validation"}),
        ("create_dataset", {"ProjectName": "p", "DatasetType": "train", "DatasetSource": {}}),
        (
            "create_dataset",
            {
                "ProjectName": "p",
                "DatasetType": "train",
                "DatasetSource": {"GroundTruthManifest": {"S3Object": {"Bucket": "ab", "Key": "k"}}},
            },
        ),
        ("describe_dataset", {"ProjectName": "p", "DatasetType": "Train"}),
        ("update_dataset_entries", {"ProjectName": "p", "DatasetType": "train", "Changes": b""}),
        ("list_dataset_entries", {"ProjectName": "p", "DatasetType": "train", "AnomalyClass": "weird"}),
        ("create_model", {"ProjectName": "p"}),
        ("create_model", {"ProjectName": "p", "OutputConfig": {"S3Location": {"Bucket": "a"}}}),
        ("create_model", {"ProjectName": "p", "OutputConfig": {"S3Location": {"Bucket": "abc", "Prefix": "/x"}}}),
        ("create_model", {"ProjectName": "p", "OutputConfig": OUTPUT, "Description": "two words"}),
        ("create_model", {"ProjectName": "p", "OutputConfig": OUTPUT, "Description": ""}),
        ("create_model", {"ProjectName": "p", "OutputConfig": OUTPUT, "Tags": [{"Key": ""}]}),
        (
            "create_model",
            {
                "ProjectName": "p",
                "OutputConfig": OUTPUT,
                "Tags": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}],
            },
        ),
        ("create_model", {"ProjectName": "p", "OutputConfig": OUTPUT, "Tags": [{"Key": "a", "Value": "\0"}]}),
        ("create_model", {"ProjectName": "p", "OutputConfig": OUTPUT, "Tags": [{"Key": "a", "Value": "\ud800"}]}),
        ("create_model", {"ProjectName": "p", "OutputConfig": OUTPUT, "Description": ["x"] * 100_000}),
        ("describe_model", {"ProjectName": "p", "ModelVersion": "0"}),
        ("describe_model", {"ProjectName": "p", "ModelVersion": "newest"}),
        ("delete_model", {"ProjectName": "p", "ModelVersion": "latest"}),
        ("start_model", {"ProjectName": "p", "ModelVersion": "1"}),
        ("start_model", {"ProjectName": "p", "ModelVersion": "1", "MinInferenceUnits": 0}),
        ("start_model", {"ProjectName": "p", "ModelVersion": "1", "MinInferenceUnits": 2, "MaxInferenceUnits": 1}),
    ],
)
def test_what_breaks_a_constraint_is_a_validation_exception(
    lookout: Any, operation: str, parameters: dict[str, Any]
) -> None:
    error = refused(lambda: getattr(lookout, operation)(**parameters))
    assert (error["code"], error["status"]) == ("ValidationException", 400)
    assert len(error["message"]) < 1000


def test_a_region_that_is_none(registry: Registry) -> None:
    error = refused(registry.client(region="x" * 40).list_projects)
    assert error["code"] == "ValidationException"


def test_missing_things_are_not_found(lookout: Any, project: str) -> None:
    error = refused(lambda: lookout.describe_project(ProjectName="nobody"))
    assert (error["code"], error["status"]) == ("ResourceNotFoundException", 404)
    assert (error["type"], error["id"]) == ("PROJECT", "nobody")
    for call in (
        lambda: lookout.delete_project(ProjectName="nobody"),
        lambda: lookout.list_models(ProjectName="nobody"),
        lambda: lookout.create_dataset(ProjectName="nobody", DatasetType="train"),
        lambda: lookout.create_model(ProjectName="nobody", OutputConfig=OUTPUT),
    ):
        assert refused(call)["type"] == "PROJECT"
    for call in (
        lambda: lookout.describe_dataset(ProjectName=project, DatasetType="test"),
        lambda: lookout.delete_dataset(ProjectName=project, DatasetType="test"),
        lambda: lookout.list_dataset_entries(ProjectName=project, DatasetType="test"),
        lambda: lookout.update_dataset_entries(ProjectName=project, DatasetType="test", Changes=b"{}"),
    ):
        error = refused(call)
        assert (error["code"], error["type"], error["id"]) == (
            "ResourceNotFoundException",
            "DATASET",
            f"{project}/test",
        )
    for version in ("7", "latest", "9999999999"):
        error = refused(lambda version=version: lookout.describe_model(ProjectName=project, ModelVersion=version))
        assert (error["code"], error["type"]) == ("ResourceNotFoundException", "MODEL")


def test_what_the_state_forbids_is_a_conflict(registry: Registry, lookout: Any, project: str) -> None:
    def conflict(call: Callable[[], Any], kind: str) -> None:
        error = refused(call)
        assert (error["code"], error["status"], error["type"]) == ("ConflictException", 409, kind)
        assert error["id"]

    trainable(registry, lookout, project)
    conflict(lambda: lookout.create_project(ProjectName=project), "PROJECT")
    conflict(lambda: lookout.delete_project(ProjectName=project), "PROJECT")
    conflict(lambda: lookout.create_dataset(ProjectName=project, DatasetType="train"), "DATASET")
    arn = lookout.create_model(ProjectName=project, OutputConfig=OUTPUT)["ModelMetadata"]["ModelArn"]
    model = {"ProjectName": project, "ModelVersion": "1"}
    conflict(lambda: lookout.delete_model(**model), "MODEL")
    conflict(lambda: lookout.start_model(**model, MinInferenceUnits=1), "MODEL")
    report(registry, completed(arn))
    becomes(lookout, project, "TRAINED")
    conflict(lambda: lookout.stop_model(**model), "MODEL")
    lookout.start_model(**model, MinInferenceUnits=1)
    conflict(lambda: lookout.start_model(**model, MinInferenceUnits=1), "MODEL")
    conflict(lambda: lookout.stop_model(**model), "MODEL")
    conflict(lambda: lookout.delete_model(**model), "MODEL")


def test_a_dataset_that_is_being_changed_is_left_alone(registry: Registry, lookout: Any, project: str) -> None:
    trainable(registry, lookout, project)
    registry.sql(
        "update registry.datasets set state = 'UPDATE_IN_PROGRESS' where project_id = "
        "(select id from registry.projects where name = %s)",
        project,
    )
    where = {"ProjectName": project, "DatasetType": "train"}
    for call in (
        lambda: lookout.update_dataset_entries(**where, Changes=line("x", False).encode()),
        lambda: lookout.delete_dataset(**where),
        lambda: lookout.create_model(ProjectName=project, OutputConfig=OUTPUT),
    ):
        assert refused(call)["code"] == "ConflictException"


def test_too_little_to_train_on_is_named_with_its_counts(registry: Registry, lookout: Any, project: str) -> None:
    error = refused(lambda: lookout.create_model(ProjectName=project, OutputConfig=OUTPUT))
    assert error["code"] == "ValidationException"
    assert "no training dataset" in error["message"]
    source = {"GroundTruthManifest": {"S3Object": registry.put(manifest(19, 12, "cracked"))}}
    lookout.create_dataset(ProjectName=project, DatasetType="train", DatasetSource=source)
    settled(lookout, project)
    error = refused(lambda: lookout.create_model(ProjectName=project, OutputConfig=OUTPUT))
    assert (error["code"], error["status"]) == ("ValidationException", 400)
    assert "19 normal images; at least 20" in error["message"]
    assert "12 images with only the anomaly label cracked; at least 20" in error["message"]
    assert lookout.list_models(ProjectName=project)["Models"] == []


@pytest.mark.parametrize(
    ("prefix", "fits"),
    [("results/", True), ("", True), ("a/b/", True), ("a//b", False), ("a/../b", False), ("x" * 1024, False)],
)
def test_an_output_prefix_may_end_with_a_slash(
    registry: Registry, lookout: Any, project: str, prefix: str, fits: bool
) -> None:
    trainable(registry, lookout, project)
    output = {"S3Location": {"Bucket": OUTPUT["S3Location"]["Bucket"], "Prefix": prefix}}
    if fits:
        model = lookout.create_model(ProjectName=project, OutputConfig=output)["ModelMetadata"]
        assert model["Status"] == "TRAINING"
    else:
        error = refused(lambda: lookout.create_model(ProjectName=project, OutputConfig=output))
        assert (error["code"], error["status"]) == ("ValidationException", 400)


def test_an_output_bucket_that_is_not_there(registry: Registry, lookout: Any, project: str) -> None:
    trainable(registry, lookout, project)
    output = {"S3Location": {"Bucket": "nobody-has-this-bucket", "Prefix": ""}}
    error = refused(lambda: lookout.create_model(ProjectName=project, OutputConfig=output))
    assert error["code"] == "ValidationException"
    assert "nobody-has-this-bucket" in error["message"]
    assert lookout.list_models(ProjectName=project)["Models"] == []
    # The number was not used up, and no request went out.
    arn = lookout.create_model(ProjectName=project, OutputConfig=OUTPUT)["ModelMetadata"]["ModelArn"]
    assert arn.endswith("/1")
    assert len(requests_for(registry, arn)) == 1


@pytest.mark.parametrize(
    ("place", "part"),
    [
        ({"Bucket": "nobody-has-this-bucket", "Key": "m.manifest"}, "nobody-has-this-bucket"),
        ({"Bucket": BUCKET, "Key": "nothing.manifest"}, "nothing.manifest"),
    ],
)
def test_a_manifest_that_is_not_there(lookout: Any, project: str, place: dict[str, str], part: str) -> None:
    source = {"GroundTruthManifest": {"S3Object": place}}
    error = refused(lambda: lookout.create_dataset(ProjectName=project, DatasetType="train", DatasetSource=source))
    assert (error["code"], error["status"]) == ("ValidationException", 400)
    assert part in error["message"]
    assert lookout.describe_project(ProjectName=project)["ProjectDescription"]["Datasets"] == []


def test_a_manifest_that_is_too_large_is_refused(registry: Registry) -> None:
    assert registry.settings.quotas.max_manifest_bytes == 1024**3
    place = registry.put(manifest(3, 3))
    source, size = ObjectRef(bucket=place["Bucket"], key=place["Key"]), len(manifest(3, 3))
    fence = fence_of(registry.settings.buckets, registry.owner.account_id)
    free = asked_rights(registry.settings.buckets, None)
    registry.run(lambda deps: datasets.check_manifest(deps.objects, fence, free, source, size))
    with pytest.raises(ManifestUnavailable, match=f"has {size} bytes, more than {size - 1}"):
        registry.run(lambda deps: datasets.check_manifest(deps.objects, fence, free, source, size - 1))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no entries"),
        (b"\n \n", "no entries"),
        (manifest(3, 3) + b"{not json}\n", "Line 7: not a JSON object"),
        (b'["a"]\n', "Line 1: not a JSON object"),
        (b"\xff\xfe\n", "Line 1: not UTF-8"),
        (manifest(2, 0) + line("x", False, bucket="another-bucket").encode(), "Line 3: bucket another-bucket"),
        (manifest(2, 0) + line("normal-0", False).encode(), "Line 3: source-ref"),
        (b'{"source-ref": "/local/image.jpg"}\n', "is not of the form s3://bucket/key"),
        (b'{"source-ref": "s3://bucket/\\u0000.jpg"}\n', "not allowed"),
        (b'{"source-ref": "s3://bucket/' + b"x" * 9000 + b'"}\n', "longer than 8192"),
        (b"x" * 100_000, "longer than 8192"),
    ],
    ids=range(11),
)
def test_a_bad_manifest_fails_the_dataset_and_leaves_nothing(
    registry: Registry, lookout: Any, project: str, content: bytes, message: str
) -> None:
    source = {"GroundTruthManifest": {"S3Object": registry.put(content)}}
    answer = lookout.create_dataset(ProjectName=project, DatasetType="train", DatasetSource=source)
    assert answer["DatasetMetadata"]["Status"] == "CREATE_IN_PROGRESS"
    dataset = settled(lookout, project)
    assert dataset["Status"] == "CREATE_FAILED"
    assert message in dataset["StatusMessage"]
    assert dataset["ImageStats"]["Total"] == 0
    # Deleted and made again, as the guide says.
    lookout.delete_dataset(ProjectName=project, DatasetType="train")


def test_limits_are_quotas(registry: Registry, lookout: Any, project: str) -> None:
    trainable(registry, lookout, project)
    units = registry.settings.limits.inference_units
    model = {"ProjectName": project, "ModelVersion": "1"}
    error = refused(lambda: lookout.start_model(**model, MinInferenceUnits=units + 1))
    assert (error["code"], error["status"]) == ("ServiceQuotaExceededException", 402)
    assert (error["service"], error["quota"]) == ("lookoutvision", "inference_units_per_model")


def test_the_number_of_projects_is_limited(registry: Registry) -> None:
    account = "999900001111"
    client = registry.client(*registry.add_key(account))
    client.create_project(ProjectName="first")
    limit = registry.settings.limits.projects
    registry.sql(
        "insert into registry.projects (id, account_id, region, name, arn, state) select gen_random_uuid(), %s, %s, "
        "'filler-' || n, 'filler-arn-' || n, 'ACTIVE' from generate_series(2, %s) n",
        account,
        REGION,
        limit,
    )
    error = refused(lambda: client.create_project(ProjectName="one-too-many"))
    assert (error["code"], error["quota"]) == ("ServiceQuotaExceededException", "projects_per_account")


def test_accounts_and_regions_do_not_see_each_other(registry: Registry, lookout: Any, project: str) -> None:
    stranger = registry.client(*registry.add_key("222233334444"))
    assert refused(lambda: stranger.describe_project(ProjectName=project))["code"] == "ResourceNotFoundException"
    elsewhere = registry.client(region="eu-central-1")
    assert refused(lambda: elsewhere.describe_project(ProjectName=project))["code"] == "ResourceNotFoundException"
    made = elsewhere.create_project(ProjectName=project)["ProjectMetadata"]["ProjectArn"]
    assert made.split(":")[3] == "eu-central-1"


def test_a_key_may_do_only_what_it_may(registry: Registry, project: str) -> None:
    reading = ("lookoutvision:List*", "lookoutvision:Describe*")
    client = registry.client(*registry.add_key(actions=reading, user="test"))
    client.describe_project(ProjectName=project)
    error = refused(lambda: client.delete_project(ProjectName=project))
    assert (error["code"], error["status"]) == ("AccessDeniedException", 403)
    assert error["message"] == (
        "User: arn:aws:iam::111122223333:user/test is not authorized to perform: lookoutvision:DeleteProject "
        f"on resource: arn:aws:lookoutvision:us-east-1:111122223333:project/{project}"
    )


def test_nobody_gets_in_without_a_good_signature(registry: Registry) -> None:
    assert refused(registry.client(KEY, "wrong").list_projects)["code"] == "InvalidSignatureException"
    assert refused(registry.client("AKIANOBODY0000000000").list_projects)["code"] == "UnrecognizedClientException"
    key, secret = registry.add_key()
    past = "update registry.access_keys set expires_at = now() - interval '1 hour' where access_key_id = %s"
    registry.sql(past, key)
    assert refused(registry.client(key, secret).list_projects)["code"] == "ExpiredTokenException"
    key, secret = registry.add_key()
    registry.sql("update registry.access_keys set enabled = false where access_key_id = %s", key)
    assert refused(registry.client(key, secret).list_projects)["code"] == "UnrecognizedClientException"
    for path in ("/api/v1/lines", "/api/v1/cameras"):
        assert httpx.get(registry.url + path, trust_env=False).status_code in (401, 403)
    bare = httpx.get(f"{registry.url}/2020-11-20/projects", trust_env=False)
    assert (bare.status_code, bare.headers["x-amzn-errortype"]) == (403, "MissingAuthenticationToken")


def raw(registry: Registry, method: str, path: str, body: bytes = b"", **headers: str) -> httpx.Response:
    """A signed request that no SDK would make."""
    request = AWSRequest(method, registry.url + path, data=body, headers=headers)
    SigV4Auth(Credentials(KEY, SECRET), "lookoutvision", REGION).add_auth(request)
    return httpx.request(method, registry.url + path, content=body, headers=dict(request.headers), trust_env=False)


def test_an_old_request_is_refused(registry: Registry) -> None:
    request = AWSRequest("GET", f"{registry.url}/2020-11-20/projects")
    signer = SigV4Auth(Credentials(KEY, SECRET), "lookoutvision", REGION)
    old = datetime.now(UTC) - timedelta(minutes=6)
    request.context["timestamp"] = old.strftime("%Y%m%dT%H%M%SZ")
    signer._modify_request_before_signing(request)
    request.headers["X-Amz-Date"] = request.context["timestamp"]
    signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    signer._inject_signature_to_request(request, signature)
    answer = httpx.get(request.url, headers=dict(request.headers), trust_env=False)
    assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (403, "RequestExpired")


@pytest.mark.parametrize(
    ("method", "path", "part"),
    [
        ("GET", "/2020-11-20/nothing", "GET /2020-11-20/nothing"),
        ("PUT", "/2020-11-20/projects", "PUT /2020-11-20/projects"),
        ("GET", "/2020-11-20/projects/a/b/c/d/e", "No operation"),
        ("POST", "/2020-11-20/projects/p/models/1/detect", "DetectAnomalies"),
        ("GET", "/2020-11-20/tags", "No operation"),
    ],
)
def test_an_unknown_operation_says_so(registry: Registry, method: str, path: str, part: str) -> None:
    answer = raw(registry, method, path)
    assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (404, "UnknownOperationException")
    assert part in answer.json()["Message"]
    assert answer.headers["x-amzn-requestid"]


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_object(registry: Registry, body: bytes) -> None:
    answer = raw(registry, "POST", "/2020-11-20/projects", body)
    assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (400, "ValidationException")


def test_a_body_that_is_too_large(registry: Registry) -> None:
    body = json.dumps({"ProjectName": "x" * registry.settings.http.max_body_bytes}).encode()
    answer = raw(registry, "POST", "/2020-11-20/projects", body)
    assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (413, "RequestEntityTooLargeException")


def test_the_internal_door_needs_its_token(registry: Registry) -> None:
    url = f"{registry.url}/internal/v1/credentials/{KEY}"

    def ask(token: str | None, path: str = url) -> httpx.Response:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return httpx.get(path, headers=headers, trust_env=False)

    assert ask(None).status_code == ask("wrong").status_code == 403
    assert SECRET not in ask("wrong").text
    answer = ask("the-internal-token").json()
    assert answer["secret_access_key"] == SECRET
    assert answer["account_id"] == "111122223333"
    assert [json.loads(document)["Statement"][0]["Action"] for document in answer["policies"]] == [["*"]]
    assert ask("the-internal-token", f"{registry.url}/internal/v1/credentials/NOBODY").status_code == 404


def test_services_learn_whether_a_model_version_exists(registry: Registry, project: str) -> None:
    arn = trained(registry, project)

    def ask(asked: str, token: str = "the-internal-token") -> httpx.Response:
        url = f"{registry.url}/internal/v1/model-versions"
        return httpx.get(url, params={"arn": asked}, headers={"Authorization": f"Bearer {token}"}, trust_env=False)

    assert ask(arn).status_code == 204
    assert ask(arn, "wrong").status_code == 403
    for unknown in (arn + "0", ""):
        assert (ask(unknown).status_code, ask(unknown).json()["code"]) == (404, "no_such_version")


def test_secrets_are_not_stored_in_clear(registry: Registry) -> None:
    for row in registry.sql("select * from registry.access_keys"):
        assert SECRET not in str(row)


def test_the_database_being_away_is_our_fault_and_passes(registry: Registry, lookout: Any) -> None:
    """Somebody holds the account's lock for too long: the caller learns that trying again is worth it."""
    import psycopg

    with psycopg.connect(registry.settings.postgres.url.get_secret_value()) as blocker:
        blocker.execute("select 1 from registry.accounts for update")
        with pytest.raises(ClientError) as caught:
            lookout.create_project(ProjectName=f"p-{uuid.uuid4().hex[:8]}")
    assert caught.value.response["Error"]["Code"] == "InternalServerException"
    assert caught.value.response["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "1"
