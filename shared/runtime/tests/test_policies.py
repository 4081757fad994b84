"""IAM policies: what is refused when it is stored, and what is allowed when it is asked."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vigia_runtime.errors import AccessDenied
from vigia_runtime.policies import (
    MAX_DOCUMENT,
    MAX_STATEMENTS,
    Decision,
    PolicyError,
    Request,
    allowing,
    authorize,
    canonical,
    decide,
    evaluate,
    glob,
    principal_keys,
    role_arn,
    user_arn,
)
from vigia_runtime.sigv4 import Credential

ACCOUNT = "123456789012"
MODEL = f"arn:aws:lookoutvision:us-east-1:{ACCOUNT}:model/cookies/1"
ANA = user_arn(ACCOUNT, "ana")
USER = Credential("AKID", "secret", None, ACCOUNT, ANA, (), principal_id="AIDAANA")


def document(*statements: dict[str, Any]) -> str:
    return canonical({"Version": "2012-10-17", "Statement": list(statements)})


def statement(effect: str = "Allow", action: Any = "*", resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def said(documents: Sequence[str], action: str = "a:B", resource: str = "*", **keys: Any) -> Decision:
    return evaluate(documents, Request.of(action, resource, keys)).decision


# --- properties ---------------------------------------------------------------------------------------------------

ACTIONS = ["lookoutvision:DetectAnomalies", "lookoutvision:DeleteModel", "LookoutVision:StopModel", "vigia:ReadModels"]
RESOURCES = ["*", MODEL, MODEL.replace("cookies/1", "cookies/2"), MODEL.replace("us-east-1", "eu-west-1")]
PATTERNS = st.sampled_from([*ACTIONS, "lookoutvision:*", "LOOKOUTVISION:De*", "vigia:Read?odels", "*"])
PLACES = st.sampled_from(
    [*RESOURCES, MODEL[:-1] + "*", "arn:aws:lookoutvision:*:*:*", "arn:*:*:us-*:*:model/?ookies/*"]
)
STAGES = ["production", "test", "Production"]
CONDITIONS = st.sampled_from(
    [
        {},
        {"StringEquals": {"aws:ResourceTag/stage": "production"}},
        {"StringNotEquals": {"aws:ResourceTag/Stage": ["production", "test"]}},
        {"StringLike": {"aws:ResourceTag/stage": "prod*"}, "Bool": {"aws:ViaAWSService": "false"}},
        {"Null": {"aws:ResourceTag/stage": "true"}},
        {"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b"]}},
        {"ForAnyValue:StringEqualsIgnoreCase": {"aws:TagKeys": "A"}},
    ]
)


@st.composite
def statements(draw: st.DrawFn, effect: st.SearchStrategy[str] = st.sampled_from(["Allow", "Deny"])) -> dict[str, Any]:
    return {
        "Effect": draw(effect),
        draw(st.sampled_from(["Action", "Action", "NotAction"])): draw(st.lists(PATTERNS, min_size=1, max_size=3)),
        draw(st.sampled_from(["Resource", "Resource", "NotResource"])): draw(st.lists(PLACES, min_size=1, max_size=3)),
        "Condition": draw(CONDITIONS),
    }


@st.composite
def requests(draw: st.DrawFn) -> Request:
    context: dict[str, Any] = {"aws:ViaAWSService": "false"}
    if draw(st.booleans()):
        context["aws:ResourceTag/stage"] = draw(st.sampled_from(STAGES))
    if draw(st.booleans()):
        context["aws:TagKeys"] = draw(st.lists(st.sampled_from("abcA"), max_size=3))
    return Request.of(draw(st.sampled_from(ACTIONS)), draw(st.sampled_from(RESOURCES)), context)


SOME = st.lists(statements(), min_size=1, max_size=5)


@settings(max_examples=200, deadline=None)
@given(SOME, requests(), st.randoms())
def test_neither_the_order_of_statements_nor_their_documents_matter(rows: Any, request: Request, random: Any) -> None:
    decision = evaluate([document(*rows)], request).decision
    shuffled = random.sample(rows, len(rows))
    assert evaluate([document(*shuffled)], request).decision is decision
    assert evaluate([document(row) for row in shuffled], request).decision is decision


@settings(max_examples=200, deadline=None)
@given(SOME, requests())
def test_deny_wins_and_what_nobody_allows_is_denied(rows: Any, request: Request) -> None:
    apply = [row for row in rows if evaluate([document({**row, "Effect": "Allow"})], request).statements]
    effects = {row["Effect"] for row in apply}
    expected = Decision.EXPLICIT_DENY if "Deny" in effects else Decision.ALLOWED if effects else Decision.IMPLICIT_DENY
    assert evaluate([document(*rows)], request).decision is expected


@settings(max_examples=200, deadline=None)
@given(SOME, statements(), requests())
def test_more_allows_take_nothing_and_more_denies_give_nothing(rows: Any, more: Any, request: Request) -> None:
    before = evaluate([document(*rows)], request).decision
    after = evaluate([document(*rows, more)], request).decision
    if more["Effect"] == "Allow":
        assert after is before or (before, after) == (Decision.IMPLICIT_DENY, Decision.ALLOWED)
    else:
        assert after in (before, Decision.EXPLICIT_DENY)


@settings(max_examples=200, deadline=None)
@given(SOME, SOME, requests())
def test_a_session_may_do_what_both_it_and_its_owner_may(owner: Any, session: Any, request: Request) -> None:
    owners, sessions = document(*owner), document(*session)
    bounded = replace(USER, policies=(owners,), session_policies=(sessions,))
    context = dict(request.keys)
    alone = decide(replace(USER, policies=(owners,)), request.action, request.resource, context)
    bound = decide(replace(USER, policies=(sessions,)), request.action, request.resource, context)
    both = decide(bounded, request.action, request.resource, context)
    assert (both is Decision.ALLOWED) == (alone is bound is Decision.ALLOWED)
    assert (both is Decision.EXPLICIT_DENY) == (Decision.EXPLICIT_DENY in (alone, bound))


@settings(max_examples=200, deadline=None)
@given(statements(), requests())
def test_not_is_the_opposite_and_actions_have_no_case(row: Any, request: Request) -> None:
    def applies(changed: dict[str, Any], asked: Request = request) -> bool:
        return evaluate([document({**changed, "Effect": "Allow"})], asked).decision is Decision.ALLOWED

    swapped = replace(request, action=request.action.swapcase())
    assert applies(row) is applies(row, swapped)
    plain = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    given_action = next(name for name in ("Action", "NotAction") if name in row)
    positive = {**plain, "Action": row[given_action]}
    negative = {"Effect": "Allow", "NotAction": row[given_action], "Resource": "*"}
    assert applies(positive) is not applies(negative)


ALPHABET = st.text(alphabet="ab*?./-", max_size=12)


@settings(max_examples=500, deadline=None)
@given(ALPHABET, st.text(alphabet="ab./-\n", max_size=12))
def test_wildcards_are_those_of_a_plain_expression(pattern: str, text: str) -> None:
    expression = "".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in pattern)
    assert glob(pattern)(text) is (re.fullmatch(expression, text, re.DOTALL) is not None)


def test_no_pattern_takes_long() -> None:
    began = time.process_time()
    assert not glob("*a" * 200 + "b")("a" * 2000)
    assert not glob("a?" * 100 + "*" * 500 + "b")("a" * 2000)
    assert time.process_time() - began < 5


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["Allow", "*", "2012-10-17"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["Version", "Statement", "Effect", "Action", "Resource", "Condition", "Null", "a:b", "Sid", "x"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(JSON | st.text(), requests())
def test_anything_is_either_a_policy_or_refused_and_denied(content: Any, request: Request) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    try:
        stored = canonical(text)
    except PolicyError:
        assert evaluate([allowing("*"), text], request).decision is Decision.EXPLICIT_DENY
    else:
        assert canonical(stored) == stored
        evaluate([stored], request)


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "not JSON"),
        ("[" * 20_000, "not JSON"),
        (" " * (5 * MAX_DOCUMENT), "characters"),
        ([], "must be an object"),
        ({}, "Statement must be"),
        ({"Statement": []}, "Statement must be"),
        ({"Statement": ["x"]}, "Statement[0] must be an object"),
        ({"Version": "2020-01-01", "Statement": statement()}, "Version must be 2012-10-17"),
        ({"Statement": statement(), "Extra": 1}, "'Extra'"),
        ({"Statement": statement(Principal="*")}, "'Principal'"),
        ({"Statement": statement(effect="allow")}, "Effect must be Allow or Deny"),
        ({"Statement": {"Effect": "Allow", "Resource": "*"}}, "either Action or NotAction"),
        ({"Statement": statement(NotAction="a:b")}, "either Action or NotAction"),
        ({"Statement": {"Effect": "Allow", "Action": "*"}}, "either Resource or NotResource"),
        ({"Statement": statement(action=[])}, "Action is empty"),
        ({"Statement": statement(action="DetectAnomalies")}, "patterns such as"),
        ({"Statement": statement(action={"a": 1})}, "must be a text"),
        ({"Statement": statement(resource="my-example-widget")}, "six parts"),
        ({"Statement": statement(resource="arn:aws:lookoutvision:*")}, "six parts"),
        ({"Statement": statement(resource="arn:aws:s3:::${aws:username}/*")}, "policy variable"),
        ({"Statement": statement(Sid="a-b")}, "Sid must be"),
        ({"Statement": [statement(Sid="a"), statement(Sid="a")]}, "same Sid"),
        ({"Statement": [statement()] * (MAX_STATEMENTS + 1)}, "statements"),
        ({"Statement": statement(resource=[f"arn:aws:s3:::{n:050}" for n in range(120)])}, f"most are {MAX_DOCUMENT}"),
        ({"Statement": statement(Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})}, "IpAddress"),
        ({"Statement": statement(Condition={"StringEqualz": {"aws:x": "y"}})}, "StringEqualz"),
        ({"Statement": statement(Condition={"ForSomeValues:StringEquals": {"aws:x": "y"}})}, "ForSomeValues"),
        ({"Statement": statement(Condition={"NullIfExists": {"aws:x": "true"}})}, "NullIfExists"),
        ({"Statement": statement(Condition={"a b": {"aws:x": "y"}})}, "no operator"),
        ({"Statement": statement(Condition={"Null": {"aws:x": "maybe"}})}, "true or false"),
        ({"Statement": statement(Condition={"Bool": {"aws:x": "yes"}})}, "true or false"),
        ({"Statement": statement(Condition={"StringEquals": {"stage": "y"}})}, "condition key"),
        ({"Statement": statement(Condition={"StringEquals": {"aws:x": []}})}, "empty"),
        ({"Statement": statement(Condition={"StringEquals": {"aws:x": "${aws:y}"}})}, "policy variable"),
        ({"Statement": statement(Condition={"ArnLike": {"aws:x": "nothing"}})}, "six parts"),
        ({"Statement": statement(Condition=[])}, "Condition must be an object"),
        ('{"Statement": {"Effect": "Allow", "Effect": "Deny", "Action": "*", "Resource": "*"}}', "stands twice"),
        # What could be stored, and then neither be shown nor be read again.
        ({"Id": {"deep": [[1]]}, "Statement": statement()}, "Id must be a text"),
        ({"Statement": statement(Condition={"StringEquals": {"aws:x": float("nan")}})}, "no number"),
        ({"Statement": statement(Condition={"StringEquals": {"aws:x": float("inf")}})}, "no number"),
        ({"Statement": statement(Condition={"StringEquals": {"aws:x": "\ud800"}})}, "cannot be written"),
        ({"Statement": statement(Condition={"StringEquals": {"aws:\ud800": "y"}})}, "cannot be written"),
        ({"Statement": statement(Condition={"StringEquals": {"aws:\0": "y"}})}, "cannot be written"),
        ({"Statement": statement(resource="arn:aws:s3:::\0")}, "cannot be written"),
        ({"Id": "\ud800", "Statement": statement()}, "cannot be written"),
    ],
)
def test_what_is_no_policy_is_refused_and_named(content: Any, says: str) -> None:
    with pytest.raises(PolicyError) as refused:
        canonical(content if isinstance(content, str | dict) else json.dumps(content))
    assert says in refused.value.message
    assert len(refused.value.message) < 500


# --- what is allowed ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "keys", "holds"),
    [
        ({"StringEquals": {"aws:ResourceTag/stage": "production"}}, {"aws:ResourceTag/stage": "production"}, True),
        ({"StringEquals": {"aws:ResourceTag/stage": "production"}}, {"aws:ResourceTag/stage": "Production"}, False),
        ({"StringEquals": {"aws:ResourceTag/stage": "production"}}, {}, False),
        ({"StringEquals": {"AWS:resourcetag/STAGE": "production"}}, {"aws:ResourceTag/stage": "production"}, True),
        ({"StringEquals": {"aws:x": ["a", "b"]}}, {"aws:x": "b"}, True),
        ({"StringEquals": {"aws:x": "prod*"}}, {"aws:x": "production"}, False),
        ({"StringEquals": {"aws:x": 7}}, {"aws:x": "7"}, True),
        ({"StringNotEquals": {"aws:x": ["a", "b"]}}, {"aws:x": "b"}, False),
        ({"StringNotEquals": {"aws:x": ["a", "b"]}}, {"aws:x": "c"}, True),
        ({"StringNotEquals": {"aws:x": "a"}}, {}, True),
        ({"StringEqualsIgnoreCase": {"aws:x": "Production"}}, {"aws:x": "PRODUCTION"}, True),
        ({"StringNotEqualsIgnoreCase": {"aws:x": "Production"}}, {"aws:x": "PRODUCTION"}, False),
        ({"StringLike": {"aws:x": "lookoutvision.*.amazonaws.com"}}, {"aws:x": "lookoutvision.eu.amazonaws.com"}, True),
        ({"StringLike": {"aws:x": "a?c"}}, {"aws:x": "abbc"}, False),
        ({"StringNotLike": {"aws:x": "a*"}}, {"aws:x": "abc"}, False),
        ({"StringNotLike": {"aws:x": "a*"}}, {}, True),
        ({"StringEqualsIfExists": {"aws:x": "a"}}, {}, True),
        ({"StringEqualsIfExists": {"aws:x": "a"}}, {"aws:x": "b"}, False),
        ({"Bool": {"aws:ViaAWSService": "true"}}, {"aws:ViaAWSService": "false"}, False),
        ({"Bool": {"aws:ViaAWSService": False}}, {"aws:ViaAWSService": "false"}, True),
        ({"Bool": {"aws:MultiFactorAuthPresent": "false"}}, {}, False),
        ({"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}, {}, True),
        ({"Null": {"aws:ResourceTag/stage": "true"}}, {}, True),
        ({"Null": {"aws:ResourceTag/stage": "true"}}, {"aws:ResourceTag/stage": ""}, False),
        ({"Null": {"aws:ResourceTag/stage": "false"}}, {"aws:ResourceTag/stage": "x"}, True),
        ({"ForAllValues:StringEquals": {"aws:TagKeys": ["stage", "line"]}}, {"aws:TagKeys": ["stage"]}, True),
        ({"ForAllValues:StringEquals": {"aws:TagKeys": ["stage"]}}, {"aws:TagKeys": ["stage", "cost"]}, False),
        ({"ForAllValues:StringEquals": {"aws:TagKeys": ["stage"]}}, {}, True),
        ({"ForAllValues:StringNotLike": {"aws:TagKeys": "cost*"}}, {"aws:TagKeys": ["stage", "costs"]}, False),
        ({"ForAnyValue:StringEquals": {"aws:TagKeys": "stage"}}, {"aws:TagKeys": ["cost", "stage"]}, True),
        ({"ForAnyValue:StringEquals": {"aws:TagKeys": "stage"}}, {}, False),
        ({"ForAnyValue:StringLikeIfExists": {"aws:TagKeys": "s*"}}, {}, True),
        ({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/a*"}}, {"aws:PrincipalArn": user_arn("1", "ana")}, True),
        (
            {"ArnEquals": {"aws:PrincipalArn": "arn:*:user/ana:*:*:x"}},
            {"aws:PrincipalArn": user_arn("1", "ana")},
            False,
        ),
        ({"ArnNotLike": {"aws:PrincipalArn": role_arn("*", "*")}}, {"aws:PrincipalArn": user_arn("1", "ana")}, True),
        (
            {"ArnNotEquals": {"aws:PrincipalArn": user_arn("1", "ana")}},
            {"aws:PrincipalArn": user_arn("1", "ana")},
            False,
        ),
        # Operators and keys must all hold.
        ({"StringEquals": {"aws:x": "a", "aws:y": "b"}}, {"aws:x": "a", "aws:y": "c"}, False),
        ({"StringEquals": {"aws:x": "a"}, "Null": {"aws:y": "true"}}, {"aws:x": "a", "aws:y": "c"}, False),
        # Tags that differ in case alone are one key with both values.
        (
            {"StringEquals": {"aws:ResourceTag/stage": "b"}},
            {"aws:ResourceTag/Stage": "a", "aws:ResourceTag/stage": "b"},
            True,
        ),
    ],
)
def test_conditions(condition: dict[str, Any], keys: dict[str, Any], holds: bool) -> None:
    rule = document(statement(Condition=condition))
    assert said([rule], **keys) is (Decision.ALLOWED if holds else Decision.IMPLICIT_DENY)


@pytest.mark.parametrize(
    ("pattern", "resource", "matches"),
    [
        ("*", MODEL, True),
        ("*", "*", True),
        (MODEL, MODEL, True),
        (MODEL.replace("cookies", "Cookies"), MODEL, False),
        ("arn:aws:lookoutvision:us-east-1:123456789012:model/cookies/*", MODEL, True),
        ("arn:aws:lookoutvision:us-east-1:123456789012:model/cookie/*", MODEL, False),
        ("arn:aws:lookoutvision:*:*:model/*", MODEL, True),
        ("arn:aws:lookoutvision:*:model/*:*:*", MODEL, False),
        ("arn:aws:lookoutvision:*:*:*", "*", False),
        ("arn:aws:vigia::123456789012:camera/a:b", "arn:aws:vigia::123456789012:camera/a:b", True),
    ],
)
def test_resources(pattern: str, resource: str, matches: bool) -> None:
    rule = document(statement(resource=pattern))
    assert said([rule], resource=resource) is (Decision.ALLOWED if matches else Decision.IMPLICIT_DENY)


def test_an_operator_that_is_not_known_never_allows() -> None:
    unknown = json.dumps({"Statement": statement(Condition={"NumericLessThan": {"aws:x": "5"}})})
    assert said([unknown]) is Decision.EXPLICIT_DENY
    assert said([allowing("*"), unknown]) is Decision.EXPLICIT_DENY
    bounded = replace(USER, policies=(allowing("*"),), session_policies=(unknown,))
    assert decide(bounded, "a:B", "*") is Decision.EXPLICIT_DENY


def test_the_caller_is_known_by_its_keys() -> None:
    assert principal_keys(USER) == {
        "aws:PrincipalAccount": ACCOUNT,
        "aws:PrincipalArn": user_arn(ACCOUNT, "ana"),
        "aws:PrincipalType": "User",
        "aws:userid": "AIDAANA",
        "aws:username": "ana",
        "aws:ViaAWSService": "false",
    }
    session = replace(
        USER, principal_arn=f"arn:aws:sts::{ACCOUNT}:assumed-role/line/shift-1", principal_id="AROALINE:shift-1"
    )
    keys = principal_keys(session)
    assert keys["aws:PrincipalArn"] == role_arn(ACCOUNT, "line")
    assert keys["aws:userid"] == "AROALINE:shift-1"
    assert "aws:username" not in keys
    mine = document(statement(Condition={"StringEquals": {"aws:username": "ana"}}))
    assert decide(replace(USER, policies=(mine,)), "a:B", "*") is Decision.ALLOWED
    assert decide(replace(session, policies=(mine,)), "a:B", "*") is Decision.IMPLICIT_DENY
    # Nobody says who he is by a key of the request.
    forged = {"aws:username": "eve"}
    eve = document(statement(Condition={"StringEquals": {"aws:username": "eve"}}))
    assert decide(replace(USER, policies=(eve,)), "a:B", "*", forged) is Decision.IMPLICIT_DENY


def test_what_a_service_does_for_the_caller_is_told_apart() -> None:
    for wanted in ("true", "false"):
        caller = replace(USER, policies=(document(statement(Condition={"Bool": {"aws:ViaAWSService": wanted}})),))
        for via_service in (True, False):
            expected = Decision.ALLOWED if via_service is (wanted == "true") else Decision.IMPLICIT_DENY
            # Whatever a key of the request says.
            said_so = {"aws:ViaAWSService": "true"}
            assert decide(caller, "a:B", "*", said_so, via_service=via_service) is expected


def test_a_refusal_is_worded_as_aws_words_it() -> None:
    authorize(replace(USER, policies=(allowing("lookoutvision:Get*"),)), "lookoutvision:GetWidget", "my-example-widget")
    with pytest.raises(AccessDenied) as refused:
        authorize(USER, "lookoutvision:GetWidget", "my-example-widget")
    assert refused.value.message == (
        "User: arn:aws:iam::123456789012:user/ana is not authorized to perform: lookoutvision:GetWidget "
        "on resource: my-example-widget"
    )


def test_the_statements_that_decided_are_named() -> None:
    rules = [document(statement(Sid="One"), statement("Deny", action="b:*", Sid="Two")), document(statement())]
    assert evaluate(rules, Request.of("a:B", "*", {})).statements == ((0, "One"), (1, "0"))
    assert evaluate(rules, Request.of("b:B", "*", {})).statements == ((0, "Two"),)
