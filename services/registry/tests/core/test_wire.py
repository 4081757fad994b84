"""The protocol on the wire: what an SDK hides is checked on bare requests."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from .conftest import KEY, REGION, SECRET, Registry
from .manifests import line, manifest
from .test_errors import raw, refused
from .test_lifecycle import OUTPUT, becomes, completed, gone, observe, report, settled, trainable

BASE = "/2020-11-20/projects"
TOKEN = re.compile(r"[a-zA-Z0-9/+=]{1,2048}")


def sent(registry: Registry, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
    content = b"" if body is None else json.dumps(body).encode()
    answer = raw(registry, method, path, content, **{name.replace("_", "-"): v for name, v in headers.items()})
    assert answer.headers["content-type"] == "application/json"
    assert uuid.UUID(answer.headers["x-amzn-requestid"])
    assert ("x-amzn-errortype" in answer.headers) == (answer.status_code >= 400)
    return answer


def moment(value: Any) -> bool:
    """Seconds since 1970 as a JSON number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 1.7e9 < value < 4e9


def test_every_operation_answers_as_its_model_says(registry: Registry, lookout: Any) -> None:
    name = f"wire-{uuid.uuid4().hex[:8]}"

    answer = sent(registry, "POST", BASE, {"ProjectName": name, "Unknown": {"member": [1]}})
    project = answer.json()["ProjectMetadata"]
    assert answer.status_code == 200
    assert set(project) == {"ProjectArn", "ProjectName", "CreationTimestamp"}
    assert moment(project["CreationTimestamp"])

    place = {"GroundTruthManifest": {"S3Object": registry.put(manifest(31, 32, "cracked"))}}
    answer = sent(registry, "POST", f"{BASE}/{name}/datasets", {"DatasetType": "train", "DatasetSource": place})
    made = answer.json()["DatasetMetadata"]
    assert answer.status_code == 202
    assert set(made) == {"DatasetType", "CreationTimestamp", "Status", "StatusMessage"}
    assert moment(made["CreationTimestamp"])
    settled(lookout, name)

    answer = sent(registry, "GET", f"{BASE}/{name}/datasets/train")
    dataset = answer.json()["DatasetDescription"]
    assert answer.status_code == 200
    assert set(dataset) == {
        "ProjectName",
        "DatasetType",
        "CreationTimestamp",
        "LastUpdatedTimestamp",
        "Status",
        "StatusMessage",
        "ImageStats",
    }
    assert moment(dataset["LastUpdatedTimestamp"])
    assert dataset["ImageStats"] == {"Total": 63, "Labeled": 63, "Normal": 31, "Anomaly": 32}

    answer = sent(registry, "GET", f"{BASE}/{name}/datasets/train/entries?maxResults=1&labeled=true")
    assert answer.status_code == 200
    assert answer.json()["DatasetEntries"] == [line("normal-0", False)]
    assert TOKEN.fullmatch(answer.json()["NextToken"])

    changes = {"Changes": "eyJzb3VyY2UtcmVmIjogInMzOi8vcmVnaXN0cnktdGVzdHMtaW1hZ2VzL24ifQ=="}
    answer = sent(registry, "PATCH", f"{BASE}/{name}/datasets/train/entries", changes)
    assert (answer.status_code, answer.json()) == (202, {"Status": "UPDATE_IN_PROGRESS"})
    assert settled(lookout, name)["ImageStats"]["Total"] == 64

    answer = sent(registry, "POST", f"{BASE}/{name}/models", {"OutputConfig": OUTPUT, "Tags": []})
    model = answer.json()["ModelMetadata"]
    assert answer.status_code == 202
    assert set(model) == {"CreationTimestamp", "ModelVersion", "ModelArn", "Status", "StatusMessage"}
    assert model["ModelVersion"] == "1"
    report(registry, completed(model["ModelArn"]))
    becomes(lookout, name, "TRAINED")

    answer = sent(registry, "GET", f"{BASE}/{name}/models/latest")
    described = answer.json()["ModelDescription"]
    assert answer.status_code == 200
    assert set(described) == {
        "ModelVersion",
        "ModelArn",
        "CreationTimestamp",
        "Status",
        "StatusMessage",
        "Performance",
        "OutputConfig",
        "EvaluationManifest",
        "EvaluationResult",
        "EvaluationEndTimestamp",
    }
    assert moment(described["EvaluationEndTimestamp"])
    answer = sent(registry, "GET", f"{BASE}/{name}/models")
    assert (answer.status_code, [found["Status"] for found in answer.json()["Models"]]) == (200, ["TRAINED"])
    assert "NextToken" not in answer.json()

    answer = sent(registry, "POST", f"{BASE}/{name}/models/1/start", {"MinInferenceUnits": 1})
    assert (answer.status_code, answer.json()) == (202, {"Status": "STARTING_HOSTING"})
    observe(registry, model["ModelArn"], "serving")
    answer = sent(registry, "POST", f"{BASE}/{name}/models/1/stop", content_length="0")
    assert (answer.status_code, answer.json()) == (202, {"Status": "STOPPING_HOSTING"})
    observe(registry, model["ModelArn"], "absent")

    answer = sent(registry, "DELETE", f"{BASE}/{name}/models/1", content_length="0")
    assert (answer.status_code, answer.json()) == (202, {"ModelArn": model["ModelArn"]})
    answer = sent(registry, "DELETE", f"{BASE}/{name}/datasets/train", content_length="0")
    assert (answer.status_code, answer.json()) == (202, {})
    gone(lambda: lookout.describe_dataset(ProjectName=name, DatasetType="train"))
    gone(lambda: lookout.describe_model(ProjectName=name, ModelVersion="1"))
    answer = sent(registry, "GET", f"{BASE}/{name}")
    assert (answer.status_code, answer.json()) == (200, {"ProjectDescription": {**project, "Datasets": []}})
    answer = sent(registry, "GET", f"{BASE}?maxResults=1")
    assert set(answer.json()["Projects"][0]) == {"ProjectArn", "ProjectName", "CreationTimestamp"}
    answer = sent(registry, "DELETE", f"{BASE}/{name}", content_length="0")
    assert (answer.status_code, answer.json()) == (200, {"ProjectArn": project["ProjectArn"]})


def test_errors_name_what_they_are_about(registry: Registry, project: str) -> None:
    missing = sent(registry, "GET", f"{BASE}/{project}/datasets/test")
    assert missing.status_code == 404
    assert missing.headers["x-amzn-errortype"] == "ResourceNotFoundException"
    assert set(missing.json()) == {"Message", "ResourceId", "ResourceType"}
    assert (missing.json()["ResourceId"], missing.json()["ResourceType"]) == (f"{project}/test", "DATASET")
    exists = sent(registry, "POST", BASE, {"ProjectName": project})
    assert (exists.status_code, exists.json()["ResourceType"]) == (409, "PROJECT")
    wrong = sent(registry, "GET", f"{BASE}/{project}/datasets/Train")
    assert wrong.json() == {
        "Message": "1 validation error detected: Value 'Train' at 'datasetType' failed to satisfy constraint: "
        "Member must satisfy enum value set: [train, test]"
    }


def test_paths_may_be_percent_encoded(registry: Registry, project: str) -> None:
    encoded = "".join(f"%{ord(character):02x}" for character in project)
    answer = sent(registry, "GET", f"{BASE}/{encoded}")
    assert answer.json()["ProjectDescription"]["ProjectName"] == project
    for path in (f"{BASE}/{project}%2Fdatasets%2Ftrain", f"{BASE}/a%0Ab", f"{BASE}/%00", f"{BASE}/%ff"):
        answer = sent(registry, "GET", path)
        assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (400, "ValidationException"), path


@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", ["/2020-11-20", f"{BASE}/a/b", f"{BASE}/a%0Ab/x%0A", f"/2020-11-20/{'x' * 20000}"])
def test_what_is_not_served_is_said_in_the_shape_of_the_protocol(registry: Registry, method: str, path: str) -> None:
    answer = sent(registry, method, path)
    assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (404, "UnknownOperationException")
    assert len(answer.json()["Message"]) < 1000


def test_a_head_has_the_headers_of_an_error(registry: Registry) -> None:
    answer = raw(registry, "HEAD", BASE)
    assert (answer.status_code, answer.headers["x-amzn-errortype"], answer.content) == (
        404,
        "UnknownOperationException",
        b"",
    )


def test_a_body_in_pieces_is_bounded_too(registry: Registry) -> None:
    size = registry.settings.http.max_body_bytes + 1
    body = b"x" * size
    request = AWSRequest("POST", registry.url + BASE, data=body)
    SigV4Auth(Credentials(KEY, SECRET), "lookoutvision", REGION).add_auth(request)

    def pieces() -> Iterator[bytes]:
        yield from (body[start : start + 1_000_000] for start in range(0, size, 1_000_000))

    answer = httpx.post(registry.url + BASE, content=pieces(), headers=dict(request.headers), trust_env=False)
    assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (413, "RequestEntityTooLargeException")


@pytest.mark.parametrize("depth", [33, 900, 20_000])
def test_a_body_that_nests_too_deep(registry: Registry, depth: int) -> None:
    body = b'{"ProjectName": "deep", "x": ' + b"[" * depth + b"]" * depth + b"}"
    answer = raw(registry, "POST", BASE, body, **{"x-amzn-client-token": uuid.uuid4().hex})
    assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (400, "ValidationException")


def test_pages_have_from_1_to_100_rows(registry: Registry, lookout: Any, project: str) -> None:
    trainable(registry, lookout, project)
    rows = f"{BASE}/{project}/datasets/train/entries?maxResults="
    for size in (1, 62, 63, 100):
        answer = sent(registry, "GET", f"{rows}{size}").json()
        assert len(answer["DatasetEntries"]) == min(size, 63)
        assert ("NextToken" in answer) == (size < 63)
    for wrong in ("0", "-1", "101", "1.5", "x", "", "1000000000000"):
        answer = sent(registry, "GET", rows + wrong)
        assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (400, "ValidationException")
        assert "'maxResults'" in answer.json()["Message"]


def test_page_tokens_fit_their_shape_whatever_the_filter(registry: Registry, lookout: Any, project: str) -> None:
    trainable(registry, lookout, project)
    where = {"ProjectName": project, "DatasetType": "train", "MaxResults": 1}
    page = lookout.list_dataset_entries(**where, SourceRefContains="images/", Labeled=True, AnomalyClass="normal")
    token = page["NextToken"]
    assert TOKEN.fullmatch(token)
    for position in range(len(token)):
        other = "A" if token[position] != "A" else "B"
        changed = token[:position] + other + token[position + 1 :]
        error = refused(
            lambda changed=changed: lookout.list_dataset_entries(
                **where, SourceRefContains="images/", Labeled=True, AnomalyClass="normal", NextToken=changed
            )
        )
        assert error["code"] == "ValidationException", position


def test_every_change_counts_once_under_its_token(registry: Registry, lookout: Any, project: str) -> None:
    """Of each operation with a client token: the same again has the same answer, anything else is a conflict."""

    def twice(operation: str, other: dict[str, Any] | None = None, **parameters: Any) -> None:
        call = getattr(lookout, operation)
        asked = {**parameters, "ClientToken": uuid.uuid4().hex}
        first, second = call(**asked), call(**asked)
        for answer in (first, second):
            del answer["ResponseMetadata"]
        assert first == second, operation
        if other is not None:
            error = refused(lambda: call(**{**asked, **other}))
            assert (error["code"], error["status"]) == ("ConflictException", 409), operation
            assert "was used before with different parameters" in error["message"]

    name = f"once-{uuid.uuid4().hex[:8]}"
    twice("create_project", {"ProjectName": f"{name}-2"}, ProjectName=name)
    place = {"GroundTruthManifest": {"S3Object": registry.put(manifest(31, 32))}}
    train = {"ProjectName": name, "DatasetType": "train"}
    twice("create_dataset", {"DatasetType": "test"}, **train, DatasetSource=place)
    settled(lookout, name)
    twice("update_dataset_entries", {"Changes": b"{}"}, **train, Changes=line("new", False).encode())
    assert settled(lookout, name)["ImageStats"]["Total"] == 64
    twice("create_model", {"Description": "other"}, ProjectName=name, OutputConfig=OUTPUT)
    arn = lookout.describe_model(ProjectName=name, ModelVersion="1")["ModelDescription"]["ModelArn"]
    report(registry, completed(arn))
    becomes(lookout, name, "TRAINED")
    model = {"ProjectName": name, "ModelVersion": "1"}
    twice("start_model", {"MinInferenceUnits": 2}, **model, MinInferenceUnits=1)
    observe(registry, arn, "serving")
    twice("stop_model", {"ModelVersion": "2"}, **model)
    observe(registry, arn, "absent")
    twice("delete_model", {"ModelVersion": "2"}, **model)
    twice("delete_dataset", {"DatasetType": "test"}, **train)
    gone(lambda: lookout.describe_dataset(**train))
    gone(lambda: lookout.describe_model(**model))
    twice("delete_project", {"ProjectName": project}, ProjectName=name)
    assert lookout.describe_project(ProjectName=project)["ProjectDescription"]["Datasets"] == []


def test_a_status_is_the_new_one_when_the_call_returns(registry: Registry, lookout: Any, project: str) -> None:
    place = {"GroundTruthManifest": {"S3Object": registry.put(manifest(31, 32))}}
    where = {"ProjectName": project, "DatasetType": "train"}

    def seen() -> str:
        return str(lookout.describe_dataset(**where)["DatasetDescription"]["Status"])

    lookout.create_dataset(**where, DatasetSource=place)
    assert seen() in ("CREATE_IN_PROGRESS", "CREATE_COMPLETE")
    settled(lookout, project)
    for number in range(5):
        lookout.update_dataset_entries(**where, Changes=line(f"new-{number}", False).encode())
        assert seen() in ("UPDATE_IN_PROGRESS", "UPDATE_COMPLETE")
        listed = lookout.describe_project(ProjectName=project)["ProjectDescription"]["Datasets"]
        assert listed[0]["Status"] in ("UPDATE_IN_PROGRESS", "UPDATE_COMPLETE")
        settled(lookout, project)
        assert seen() == "UPDATE_COMPLETE"
    # The manifest is the customer's, and stays.
    assert registry.s3().head_object(**place["GroundTruthManifest"]["S3Object"])["ContentLength"] > 0
