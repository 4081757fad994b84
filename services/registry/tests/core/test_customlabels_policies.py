"""Project policies: documents that say who may copy models, their revisions, and what they come to."""

from __future__ import annotations

import json
import re
import uuid
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vigia_registry.policies.domain import ACTION, LONGEST, decide, parse
from vigia_registry.policies.errors import PolicyMalformed
from vigia_registry.projects.deletion import delete_project
from vigia_runtime.policies import Decision, user_arn
from vigia_runtime.sigv4 import Credential

from .conftest import ACCOUNT, REGION, Registry
from .label_datasets import new_project
from .test_customlabels_projects import refused

PROJECT = f"arn:aws:rekognition:{REGION}:{ACCOUNT}:project/my_project"
VERSION = f"{PROJECT}/version/test_1/1627045542080"
OTHER = "444455556666"


def statement(**parts: Any) -> dict[str, Any]:
    """One statement; parts that are None are left out."""
    whole = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{OTHER}:role/Admin"},
        "Action": ACTION,
        "Resource": VERSION,
        **parts,
    }
    return {name: value for name, value in whole.items() if value is not None}


def document(*statements: Any, **more: Any) -> str:
    whole = {"Version": "2012-10-17", "Statement": list(statements), **more}
    return json.dumps({name: value for name, value in whole.items() if value is not None})


GOOD = document(statement())


# --- documents ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        document(statement(Effect="ALLOW"), statement(Effect="DENY"), statement(Effect="deny")),
        document(statement(Principal="*")),
        document(statement(Principal={"AWS": "*"})),
        document(statement(Principal={"AWS": OTHER})),
        document(statement(Principal={"AWS": [f"arn:aws:iam::{OTHER}:root", f"arn:aws:iam::{OTHER}:user/ana"]})),
        document(statement(Principal={"AWS": f"arn:aws:sts::{OTHER}:assumed-role/Admin/session"})),
        document(statement(Principal={"AWS": f"arn:aws:iam::{OTHER}:role/service-role/Admin"})),
        document(statement(Principal={"Service": "lambda.amazonaws.com"})),
        document(statement(Action=[ACTION])),
        document(statement(Action="Rekognition:copyprojectversion")),
        document(statement(Resource=f"{PROJECT}/version/*")),
        document(statement(Resource=[VERSION, f"{PROJECT}/version/other/*"])),
        # As the guide prints it: another account than the project's.
        document(statement(Resource=VERSION.replace(ACCOUNT, "111111111111"))),
        document(statement(Sid="One", Condition={"StringEquals": {"aws:PrincipalAccount": OTHER}}), Id="an-id"),
        json.dumps({"Version": "2012-10-17", "Statement": statement()}),
        "\n\t " + GOOD.replace(", ", ",\n    "),
    ],
)
def test_a_policy_is_taken(text: str) -> None:
    assert parse(text)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[" * 2000, "not JSON"),
        ("[]", "the document must be an object"),
        (GOOD[:-1] + ', "Version": "2012-10-17"}', "a name stands twice"),
        (GOOD + " " * LONGEST, f"the most are {LONGEST}"),
        (GOOD[:-1] + ', "Id": "\u20ac"}', "a character that is not allowed"),
        (document(statement(), Version=None), "Version must be 2012-10-17"),
        (document(statement(), Version="2008-10-17"), "Version must be 2012-10-17"),
        (document(statement(), Extra=1), "'Extra'"),
        (document(statement(), Id=7), "Id must be a text"),
        (document(), "Statement must be"),
        (document(Statement="x"), "Statement must be"),
        (document("x"), "Statement[0] must be an object"),
        *[
            (document(statement(), statement(**{name: None})), f"Statement[1] has no {name}")
            for name in ("Effect", "Principal", "Action", "Resource")
        ],
        *[
            (document(statement(**{name: "*"})), f"{name}, which is not allowed")
            for name in ("NotAction", "NotResource", "NotPrincipal")
        ],
        (document(statement(Effect="Perhaps")), "Statement[0].Effect"),
        (document(statement(Effect=True)), "Statement[0].Effect"),
        (document(statement(Action="rekognition:*")), f"only {ACTION} is supported"),
        (document(statement(Action=[ACTION, "rekognition:DetectCustomLabels"])), f"only {ACTION} is supported"),
        (document(statement(Action=[])), "Statement[0].Action"),
        (document(statement(Resource="*")), "Statement[0].Resource"),
        (document(statement(Resource=f"{PROJECT}/1627045542080")), "Statement[0].Resource"),
        (document(statement(Resource=[VERSION, 7])), "Statement[0].Resource"),
        (document(statement(Resource="arn:aws:s3:::bucket/project/a/version/b")), "Statement[0].Resource"),
        (document(statement(Resource=VERSION + "${aws:username}")), "policy variable"),
        (document(statement(Principal="someone")), "Statement[0].Principal"),
        (document(statement(Principal={})), "Statement[0].Principal"),
        (document(statement(Principal={"AWS": "someone"})), "'someone', which is no principal"),
        (document(statement(Principal={"AWS": f"arn:aws:iam::{OTHER}:*"})), "which is no principal"),
        (document(statement(Principal={"Person": "ana"})), "'Person'"),
        (document(statement(Principal={"Service": 7})), "Statement[0].Principal.Service"),
        (document(statement(Surplus=1)), "'Surplus'"),
        (document(statement(Condition={"Sounds": {"aws:username": "ana"}})), "Statement[0].Condition"),
        (document(statement(Sid="a-b")), "Statement[0].Sid"),
        (document(statement(Sid="A"), statement(Sid="A")), "the same Sid"),
    ],
)
def test_what_is_wrong_with_a_policy_is_named(text: str, named: str) -> None:
    with pytest.raises(PolicyMalformed, match=re.escape(named)):
        parse(text)


_TEXTS = st.one_of(
    st.sampled_from(["*", ACTION, VERSION, OTHER, "Allow", "DENY", "2012-10-17", f"{PROJECT}/version/*", "${x}"]),
    st.text(max_size=12),
)
_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), _TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(
                st.sampled_from(["AWS", "Service", "Effect", "Principal", "Action", "Resource", "Condition", "Sid"]),
                st.text(max_size=5),
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=8,
)


@given(
    st.lists(
        st.one_of(
            _VALUES,
            st.fixed_dictionaries(
                {"Effect": _TEXTS, "Principal": _VALUES, "Action": _VALUES, "Resource": _VALUES},
                optional={"Sid": _TEXTS, "Condition": _VALUES, "NotAction": _VALUES},
            ),
        ),
        max_size=3,
    ),
    st.text(max_size=3),
)
@example([], "")
@example([statement()], "")
def test_any_document_is_refused_by_name_or_can_be_asked(statements: list[Any], tail: str) -> None:
    """No document breaks anything, and one that was taken is decided by what it says."""
    text = json.dumps({"Version": "2012-10-17", "Statement": statements}) + tail
    caller = credential(f"arn:aws:iam::{OTHER}:user/ana")
    decision = decide([text], caller, ACTION, VERSION)
    try:
        taken = parse(text)
    except PolicyMalformed as error:
        refusal: str | None = error.message
    else:
        refusal = None
    if refusal is not None:
        assert refusal.startswith("The project policy is not valid: ")
        assert decision is Decision.EXPLICIT_DENY
        return
    assert all(set(one.content) >= {"Effect", "Action", "Resource"} for one in taken)
    about = [one for one in taken if one.is_about(caller)]
    if not about:
        assert decision is Decision.IMPLICIT_DENY
    if decision is Decision.ALLOWED:
        assert any(one.content["Effect"] == "Allow" for one in about)


# --- decisions ----------------------------------------------------------------------------------------------------


def credential(principal: str, principal_id: str = "AIDAEXAMPLEEXAMPLE12") -> Credential:
    return Credential("AKID", "s", None, principal.split(":")[4], principal, (), principal_id=principal_id)


ANA, BOB = credential(user_arn(OTHER, "ana")), credential(user_arn(OTHER, "bob"), "AIDAEXAMPLEEXAMPLE99")
SESSION = credential(f"arn:aws:sts::{OTHER}:assumed-role/Admin/s", "AROAEXAMPLEEXAMPLE12:s")


@pytest.mark.parametrize(
    ("principal", "whom"),
    [
        ("*", {"ana", "bob", "session"}),
        ({"AWS": "*"}, {"ana", "bob", "session"}),
        ({"AWS": OTHER}, {"ana", "bob", "session"}),
        ({"AWS": f"arn:aws:iam::{OTHER}:root"}, {"ana", "bob", "session"}),
        ({"AWS": user_arn(OTHER, "ana")}, {"ana"}),
        ({"AWS": "AIDAEXAMPLEEXAMPLE12"}, {"ana"}),
        ({"AWS": [user_arn(OTHER, "bob"), user_arn(OTHER, "ana")]}, {"ana", "bob"}),
        ({"AWS": f"arn:aws:iam::{OTHER}:role/Admin"}, {"session"}),
        ({"AWS": f"arn:aws:sts::{OTHER}:assumed-role/Admin/s"}, {"session"}),
        ({"AWS": f"arn:aws:sts::{OTHER}:assumed-role/Admin/t"}, set()),
        ({"AWS": "AROAEXAMPLEEXAMPLE12"}, {"session"}),
        ({"AWS": "777788889999"}, set()),
        ({"Service": "lambda.amazonaws.com"}, set()),
        ({"Service": "lambda.amazonaws.com", "AWS": user_arn(OTHER, "ana")}, {"ana"}),
    ],
)
def test_a_statement_is_about_whom_it_names(principal: Any, whom: set[str]) -> None:
    text = document(statement(Principal=principal))
    callers = {"ana": ANA, "bob": BOB, "session": SESSION}
    allowed = {name for name, one in callers.items() if decide([text], one, ACTION, VERSION) is Decision.ALLOWED}
    assert allowed == whom


def test_a_deny_wins_wherever_it_stands() -> None:
    allow = document(statement(Principal={"AWS": OTHER}, Resource=f"{PROJECT}/version/*"))
    deny = document(statement(Principal={"AWS": user_arn(OTHER, "ana")}, Effect="DENY"))
    assert decide([allow, deny], ANA, ACTION, VERSION) is Decision.EXPLICIT_DENY
    assert decide([deny, allow], ANA, ACTION, VERSION) is Decision.EXPLICIT_DENY
    assert decide([allow, deny], BOB, ACTION, VERSION) is Decision.ALLOWED
    assert decide([allow, deny], ANA, ACTION, VERSION.replace("test_1", "test_2")) is Decision.ALLOWED
    assert decide([], ANA, ACTION, VERSION) is Decision.IMPLICIT_DENY
    assert decide([allow], ANA, ACTION, VERSION.replace("my_project", "others")) is Decision.IMPLICIT_DENY


def test_conditions_hold() -> None:
    condition = {"StringEquals": {"aws:username": "ana"}}
    text = document(statement(Principal="*", Condition=condition))
    assert decide([text], ANA, ACTION, VERSION) is Decision.ALLOWED
    assert decide([text], BOB, ACTION, VERSION) is Decision.IMPLICIT_DENY


# --- the protocol -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client(quiet: Registry) -> Any:
    return quiet.rekognition()


@pytest.fixture
def project(client: Any) -> str:
    return new_project(client)


def put(client: Any, project: str, name: str = "policy", text: str = GOOD, **more: Any) -> str:
    answer = client.put_project_policy(ProjectArn=project, PolicyName=name, PolicyDocument=text, **more)
    return str(answer["PolicyRevisionId"])


def policies(client: Any, project: str) -> list[dict[str, Any]]:
    pages = client.get_paginator("list_project_policies").paginate(ProjectArn=project)
    return [one for page in pages for one in page["ProjectPolicies"]]


def test_only_who_knows_the_latest_revision_changes_a_policy(client: Any, project: str) -> None:
    assert client.list_project_policies(ProjectArn=project, MaxResults=5, NextToken="")["ProjectPolicies"] == []
    first = put(client, project)
    assert re.fullmatch(r"[0-9a-f]{32}", first)
    assert refused(lambda: put(client, project))[0] == "ResourceAlreadyExistsException"
    changed = document(statement(Principal="*"))
    second = put(client, project, text=changed, PolicyRevisionId=first.upper())
    assert second != first
    for stale in (first, "0" * 32):
        code, _ = refused(lambda stale=stale: put(client, project, PolicyRevisionId=stale))
        assert code == "InvalidPolicyRevisionIdException"
    # There is none of this name.
    code, _ = refused(lambda: put(client, project, "other", PolicyRevisionId=second))
    assert code == "InvalidPolicyRevisionIdException"
    [found] = policies(client, project)
    assert (found["ProjectArn"], found["PolicyName"], found["PolicyRevisionId"]) == (project, "policy", second)
    assert found["PolicyDocument"] == changed
    assert found["LastUpdatedTimestamp"] > found["CreationTimestamp"]

    request = {"ProjectArn": project, "PolicyName": "policy"}
    code, _ = refused(lambda: client.delete_project_policy(**request, PolicyRevisionId=first))
    assert code == "InvalidPolicyRevisionIdException"
    client.delete_project_policy(**request, PolicyRevisionId=second)
    assert policies(client, project) == []
    assert refused(lambda: client.delete_project_policy(**request))[0] == "ResourceNotFoundException"
    put(client, project)
    client.delete_project_policy(**request)


def test_a_project_has_five_policies_which_are_listed_in_pages(client: Any, project: str) -> None:
    names = [f"p.{letter}-1" for letter in "eBaDc"]
    for name in names:
        put(client, project, name)
    code, _ = refused(lambda: put(client, project, "sixth"))
    assert code == "ServiceQuotaExceededException"
    found, token = [], ""
    while True:
        page = client.list_project_policies(ProjectArn=project, MaxResults=2, NextToken=token)
        found += [one["PolicyName"] for one in page["ProjectPolicies"]]
        if "NextToken" not in page:
            break
        token = page["NextToken"]
    assert found == sorted(names)
    other = new_project(client)
    code, _ = refused(lambda: client.list_project_policies(ProjectArn=other, NextToken=token))
    assert code == "InvalidPaginationTokenException"
    assert refused(lambda: client.list_project_policies(ProjectArn=project, MaxResults=6))[0] == "ValidationException"


@pytest.mark.parametrize(
    ("given", "code", "named"),
    [
        ({"PolicyDocument": document(statement(Action="*"))}, "MalformedPolicyDocumentException", "only rekognition:"),
        ({"PolicyDocument": GOOD + " " * LONGEST}, "MalformedPolicyDocumentException", "2000"),
        ({"PolicyDocument": ""}, "InvalidParameterException", "policyDocument"),
        ({"PolicyName": "a b"}, "InvalidParameterException", "policyName"),
        ({"PolicyName": "x" * 129}, "InvalidParameterException", "policyName"),
        ({"PolicyRevisionId": "xyz"}, "InvalidParameterException", "policyRevisionId"),
        ({"PolicyRevisionId": "a" * 65}, "InvalidParameterException", "policyRevisionId"),
        ({"ProjectArn": PROJECT}, "InvalidParameterException", "projectArn"),
        ({"ProjectArn": f"{PROJECT}/1700000000000"}, "ResourceNotFoundException", "does not exist"),
    ],
)
def test_what_breaks_a_rule_is_named(client: Any, project: str, given: dict[str, Any], code: str, named: str) -> None:
    request = {"ProjectArn": project, "PolicyName": "policy", "PolicyDocument": GOOD, **given}
    found, message = refused(lambda: client.put_project_policy(**request))
    assert (found, named in message) == (code, True), message
    assert policies(client, project) == []


def test_policies_go_with_their_project(quiet: Registry, client: Any, project: str) -> None:
    put(client, project)
    [(project_id,)] = quiet.sql("select id from registry.projects where arn = %s", project)
    client.delete_project(ProjectArn=project)
    assert refused(lambda: put(client, project, "late"))[0] == "ResourceInUseException"

    async def job(deps: Any) -> None:
        await delete_project(deps.database, deps.objects, deps.settings.buckets.datasets, uuid.UUID(str(project_id)))

    quiet.run(job)
    assert quiet.sql("select count(*) from registry.project_policies where project_id = %s", project_id) == [(0,)]
