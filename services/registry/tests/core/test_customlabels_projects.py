"""Projects of Custom Labels: names of their own, ARNs that end with a time, lists that are never missing."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import ACCOUNT, REGION, Registry


@pytest.fixture(scope="module")
def rekognition(registry: Registry) -> Any:
    return registry.rekognition()


@pytest.fixture
def name() -> str:
    return f"Echo.dots_{uuid.uuid4().hex[:12]}"


def refused(call: Callable[[], Any]) -> tuple[str, str]:
    """Code and message of the error that ``call`` ends with."""
    with pytest.raises(ClientError) as caught:
        call()
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_a_project_is_made_described_and_deleted(rekognition: Any, name: str) -> None:
    arn = rekognition.create_project(ProjectName=name, Feature="CUSTOM_LABELS", Tags={"line": "1"})["ProjectArn"]
    assert re.fullmatch(rf"arn:aws:rekognition:{REGION}:{ACCOUNT}:project/{re.escape(name)}/[0-9]{{13}}", arn)
    answer = rekognition.describe_projects(ProjectNames=[name])
    (described,) = answer["ProjectDescriptions"]
    assert "NextToken" not in answer
    assert (described["ProjectArn"], described["Status"], described["Datasets"]) == (arn, "CREATED", [])
    assert rekognition.delete_project(ProjectArn=arn)["Status"] == "DELETING"


def test_unknown_names_are_nothing_and_unknown_arns_an_error(rekognition: Any, name: str) -> None:
    assert rekognition.describe_projects(ProjectNames=[name])["ProjectDescriptions"] == []
    arn = f"arn:aws:rekognition:{REGION}:{ACCOUNT}:project/{name}/1700000000000"
    assert refused(lambda: rekognition.delete_project(ProjectArn=arn))[0] == "ResourceNotFoundException"


def test_names_are_apart_from_those_of_lookout_for_vision(rekognition: Any, lookout: Any) -> None:
    name = f"shared-{uuid.uuid4().hex[:12]}"
    lookout.create_project(ProjectName=name)
    arn = rekognition.create_project(ProjectName=name)["ProjectArn"]
    assert refused(lambda: rekognition.create_project(ProjectName=name))[0] == "ResourceInUseException"
    rekognition.delete_project(ProjectArn=arn)
    assert lookout.describe_project(ProjectName=name)["ProjectDescription"]["ProjectName"] == name


def test_pages_go_on_and_an_empty_token_is_the_beginning(rekognition: Any) -> None:
    prefix = uuid.uuid4().hex[:12]
    names = [f"{prefix}-{number}" for number in range(5)]
    arns = [rekognition.create_project(ProjectName=name)["ProjectArn"] for name in names]
    found, token = [], ""
    while True:
        page = rekognition.describe_projects(ProjectNames=names, MaxResults=2, NextToken=token)
        found += [one["ProjectArn"] for one in page["ProjectDescriptions"]]
        if "NextToken" not in page:
            break
        token = page["NextToken"]
    assert found == arns
    other = rekognition.describe_projects(MaxResults=1)["NextToken"]
    code, _ = refused(lambda: rekognition.describe_projects(ProjectNames=names, NextToken=other))
    assert code == "InvalidPaginationTokenException"


@pytest.mark.parametrize(
    ("given", "code", "named"),
    [
        ({}, "InvalidParameterException", "projectName"),
        ({"ProjectName": "a b"}, "InvalidParameterException", "projectName"),
        ({"ProjectName": "x" * 256}, "InvalidParameterException", "projectName"),
        ({"ProjectName": "x", "Feature": "CONTENT_MODERATION"}, "InvalidParameterException", "feature"),
        ({"ProjectName": "x", "Tags": {"aws:x": "1"}}, "InvalidParameterException", "aws:"),
    ],
)
def test_what_breaks_a_rule_is_named(rekognition: Any, given: dict[str, Any], code: str, named: str) -> None:
    found, message = refused(lambda: rekognition.create_project(**given))
    assert found == code
    assert named in message


def test_other_operations_of_rekognition_are_named(rekognition: Any) -> None:
    code, message = refused(lambda: rekognition.list_collections())
    assert code == "UnknownOperationException"
    assert "ListCollections" in message
