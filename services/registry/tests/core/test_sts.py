"""Temporary credentials, asked for as boto3, the AWS CLI and plain HTTP ask: who gets them, what they may do, for how
long."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from vigia_client.service_model import data_path
from vigia_registry.identity.domain import MAX_SESSIONS, MAX_SESSIONS_OF_KEY
from vigia_runtime.policies import allowing, canonical

from .conftest import ACCOUNT, KEY, REGION, SECRET, Registry
from .people import Iam

TRUSTED, OTHER = "222233334444", "555566667777"
ASSUME = canonical({"Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}})
ROLE = f"arn:aws:iam::{ACCOUNT}:role/"
XMLNS = "{https://sts.amazonaws.com/doc/2011-06-15/}"


def sts(registry: Registry, key: str = KEY, secret: str = SECRET, token: str | None = None) -> Any:
    return boto3.client(
        "sts",
        endpoint_url=registry.url,
        region_name=REGION,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
        config=Config(retries={"total_max_attempts": 1}, parameter_validation=False),
    )


def lookout(registry: Registry, given: dict[str, str], token: str | None = None) -> Any:
    """A client of Lookout for Vision with temporary credentials."""
    core = botocore.session.Session()
    core.get_component("data_loader").search_paths.append(str(data_path()))
    return boto3.Session(
        given["AccessKeyId"],
        given["SecretAccessKey"],
        given["SessionToken"] if token is None else token,
        region_name=REGION,
        botocore_session=core,
    ).client("lookoutvision", endpoint_url=registry.url, config=Config(retries={"total_max_attempts": 1}))


def session_of(registry: Registry, given: dict[str, str]) -> Any:
    return sts(registry, given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])


def refused(act: Callable[[], Any]) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        act()
    response = caught.value.response
    assert response["Error"]["Message"]
    assert response["Error"]["Type"] == "Sender"
    metadata = response["ResponseMetadata"]
    assert metadata["RequestId"] == metadata["HTTPHeaders"]["x-amzn-requestid"]
    return response["Error"]["Code"], metadata["HTTPStatusCode"]


def role(registry: Registry, trust: list[str], *policies: str, **more: Any) -> tuple[str, str]:
    """A new role's name and ARN."""
    name = f"r-{uuid.uuid4().hex[:10]}"
    with Iam(registry.url, httpx.BasicAuth(KEY, SECRET)) as vigia:
        vigia.put_role(name, trust, policies or ("AmazonLookoutVisionReadOnlyAccess",), **more)
    return name, ROLE + name


def user(registry: Registry, *documents: str, account: str = ACCOUNT) -> tuple[str, tuple[str, str]]:
    """A new user's ARN, and a key."""
    name = f"u-{uuid.uuid4().hex[:10]}"
    return f"arn:aws:iam::{account}:user/{name}", registry.add_user(name, *documents, account=account)


# --- who am I -----------------------------------------------------------------------------------------------------


def test_everyone_may_ask_who_they_are(registry: Registry) -> None:
    admin = sts(registry).get_caller_identity()
    assert (admin["Account"], admin["Arn"]) == (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/admin")
    assert admin["UserId"].startswith("AIDA")
    arn, key = user(registry, canonical({"Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}}))
    assert sts(registry, *key).get_caller_identity()["Arn"] == arn


# --- sessions of users --------------------------------------------------------------------------------------------


def test_a_session_is_its_user_for_a_while(registry: Registry) -> None:
    arn, key = user(registry, allowing("lookoutvision:List*"))
    given = sts(registry, *key).get_session_token()["Credentials"]
    assert given["AccessKeyId"].startswith("ASIA")
    left = given["Expiration"] - datetime.now(UTC)
    assert timedelta(hours=11, minutes=59) < left <= timedelta(hours=12)
    assert session_of(registry, given).get_caller_identity()["Arn"] == arn
    client = lookout(registry, given)
    client.list_projects()
    with pytest.raises(client.exceptions.AccessDeniedException, match=arn):
        client.create_project(ProjectName="x")
    # Without its token, or with another's, the key is nothing.
    for token in ("", "another", given["SessionToken"][:-1]):
        with pytest.raises(ClientError) as error:
            lookout(registry, given, token).list_projects()
        assert error.value.response["Error"]["Code"] == "UnrecognizedClientException"
    assert refused(sts(registry, given["AccessKeyId"], given["SecretAccessKey"]).get_caller_identity) == (
        "InvalidClientTokenId",
        403,
    )
    basic = httpx.BasicAuth(given["AccessKeyId"], given["SecretAccessKey"])
    assert httpx.get(f"{registry.url}/api/v1/lines", auth=basic, trust_env=False).status_code == 401
    assert refused(session_of(registry, given).get_session_token) == ("AccessDenied", 403)
    # What a session does is no use of its user's key.
    assert registry.sql("select last_used_service from registry.access_keys where access_key_id = %s", key[0]) == [
        ("sts",)
    ]


def test_sessions_end(registry: Registry) -> None:
    _, key = user(registry, allowing("lookoutvision:*"))
    given = sts(registry, *key).get_session_token(DurationSeconds=900)["Credentials"]
    assert timedelta(minutes=14) < given["Expiration"] - datetime.now(UTC) <= timedelta(minutes=15)
    lookout(registry, given).list_projects()
    ended = "update registry.sessions set expires_at = now() - interval '1 second' where access_key_id = %s"
    registry.sql(ended, given["AccessKeyId"])
    with pytest.raises(ClientError) as error:
        lookout(registry, given).list_projects()
    assert error.value.response["Error"]["Code"] == "ExpiredTokenException"
    assert refused(session_of(registry, given).get_caller_identity) == ("ExpiredToken", 403)
    # What ended long ago is forgotten when the next session begins.
    registry.sql(ended.replace("1 second", "2 hours"), given["AccessKeyId"])
    sts(registry, *key).get_session_token()
    assert registry.sql("select 1 from registry.sessions where access_key_id = %s", given["AccessKeyId"]) == []


def test_sessions_go_with_their_user_and_their_role(registry: Registry) -> None:
    arn, key = user(registry, ASSUME)
    name, role_arn = role(registry, [ACCOUNT])
    own = sts(registry, *key).get_session_token()["Credentials"]
    taken = sts(registry, *key).assume_role(RoleArn=role_arn, RoleSessionName="s1")["Credentials"]
    lookout(registry, taken).list_projects()
    with Iam(registry.url, httpx.BasicAuth(KEY, SECRET)) as vigia:
        vigia.remove_role(name)
        vigia.remove_user(arn.rpartition("/")[2])
    for given in (own, taken):
        assert refused(session_of(registry, given).get_caller_identity) == ("InvalidClientTokenId", 403)


@pytest.mark.parametrize("gone", ["inactive", "deleted", "with its user"])
def test_sessions_are_worth_what_the_key_is_that_began_them(registry: Registry, gone: str) -> None:
    """A leaked key is stopped with all that was made of it, roles of other accounts included."""
    arn, key = user(registry, ASSUME, account=TRUSTED)
    name = arn.rpartition("/")[2]
    other = registry.add_user(name, ASSUME, account=TRUSTED)
    _, first_arn = role(registry, [TRUSTED], inline={"on": json.loads(ASSUME)})
    _, second_arn = role(registry, [first_arn])

    def begun(with_key: tuple[str, str]) -> list[dict[str, str]]:
        own = sts(registry, *with_key).get_session_token()["Credentials"]
        taken = session_of(registry, own).assume_role(RoleArn=first_arn, RoleSessionName="s1")["Credentials"]
        chained = session_of(registry, taken).assume_role(RoleArn=second_arn, RoleSessionName="s2")["Credentials"]
        return [own, taken, chained]

    ended, kept = begun(key), begun(other)
    boss = registry.add_user(f"boss-{gone.replace(' ', '-')}", policies=("admin",), account=TRUSTED)
    with Iam(registry.url, httpx.BasicAuth(*boss)) as vigia:
        if gone == "inactive":
            vigia.switch_access_key(name, key[0], False)
        elif gone == "deleted":
            vigia.remove_access_key(name, key[0])
        else:
            vigia.remove_user(name)
            ended, kept = ended + kept, []
        for given in ended:
            assert refused(session_of(registry, given).get_caller_identity) == ("InvalidClientTokenId", 403)
        for given in kept:
            session_of(registry, given).get_caller_identity()
        if gone == "inactive":
            vigia.switch_access_key(name, key[0], True)
            session_of(registry, ended[-1]).get_caller_identity()


def test_one_key_cannot_take_all_sessions_of_an_account(registry: Registry) -> None:
    account = "888899990000"
    (_, key), (_, other) = user(registry, account=account), user(registry, account=account)
    given = sts(registry, *key).get_session_token()["Credentials"]
    registry.sql(
        "insert into registry.sessions (access_key_id, account_id, user_name, begun_by, secret, token, expires_at) "
        "select 'G' || n, account_id, user_name, begun_by, '', '', now() + interval '1 hour' "
        "from registry.sessions, generate_series(2, %s) n where access_key_id = %s",
        *(MAX_SESSIONS_OF_KEY, given["AccessKeyId"]),
    )
    assert refused(sts(registry, *key).get_session_token) == ("LimitExceeded", 409)
    assert sts(registry, *other).get_session_token()["Credentials"]


def test_sessions_are_bounded_and_their_secrets_sealed(registry: Registry) -> None:
    account = "777788889999"
    _, key = user(registry, account=account)
    given = sts(registry, *key).get_session_token()["Credentials"]
    [row] = registry.sql("select * from registry.sessions where access_key_id = %s", given["AccessKeyId"])
    assert given["SecretAccessKey"] not in str(row)
    assert given["SessionToken"] not in str(row)
    registry.sql(
        "insert into registry.sessions (access_key_id, account_id, user_name, secret, token, expires_at) "
        "select 'F' || n, account_id, user_name, '', '', now() + interval '1 hour' "
        "from registry.sessions, generate_series(2, %s) n where access_key_id = %s",
        *(MAX_SESSIONS, given["AccessKeyId"]),
    )
    assert refused(sts(registry, *key).get_session_token) == ("LimitExceeded", 409)
    registry.sql("delete from registry.sessions where account_id = %s", account)


# --- roles --------------------------------------------------------------------------------------------------------


def test_a_role_is_taken_across_accounts(registry: Registry) -> None:
    name, arn = role(registry, [TRUSTED])
    _, key = user(registry, ASSUME, account=TRUSTED)
    taken = sts(registry, *key).assume_role(RoleArn=arn, RoleSessionName="shift-1")
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/shift-1"
    assert taken["AssumedRoleUser"]["Arn"] == session
    assert taken["AssumedRoleUser"]["AssumedRoleId"].startswith("AROA")
    assert taken["AssumedRoleUser"]["AssumedRoleId"].endswith(":shift-1")
    assert "PackedPolicySize" not in taken
    given = taken["Credentials"]
    assert timedelta(minutes=59) < given["Expiration"] - datetime.now(UTC) <= timedelta(hours=1)
    who = session_of(registry, given).get_caller_identity()
    assert (who["Arn"], who["Account"], who["UserId"]) == (session, ACCOUNT, taken["AssumedRoleUser"]["AssumedRoleId"])
    # It sees the account of the role, not its own, and what the role may.
    project = f"p-{uuid.uuid4().hex[:10]}"
    registry.client().create_project(ProjectName=project)
    client = lookout(registry, given)
    assert client.describe_project(ProjectName=project)
    with pytest.raises(client.exceptions.AccessDeniedException) as error:
        client.delete_project(ProjectName=project)
    assert error.value.response["Error"]["Message"] == (
        f"User: {session} is not authorized to perform: lookoutvision:DeleteProject "
        f"on resource: arn:aws:lookoutvision:{REGION}:{ACCOUNT}:project/{project}"
    )


DENY_ASSUME = canonical({"Statement": {"Effect": "Deny", "Action": "sts:*", "Resource": "*"}})
#: Account of the caller, its own policies, what the role trusts ({me}: the caller), whether it gets the role.
TRUST: list[tuple[str, tuple[str, ...], list[str], bool]] = [
    (ACCOUNT, (ASSUME,), [ACCOUNT], True),
    (ACCOUNT, (ASSUME,), [f"arn:aws:iam::{ACCOUNT}:root"], True),
    (ACCOUNT, (), [ACCOUNT], False),
    (ACCOUNT, (), ["{me}"], True),
    (ACCOUNT, (DENY_ASSUME,), ["{me}"], False),
    (ACCOUNT, (ASSUME, DENY_ASSUME), [ACCOUNT], False),
    (ACCOUNT, (ASSUME,), [], False),
    (ACCOUNT, (ASSUME,), [TRUSTED, f"arn:aws:iam::{ACCOUNT}:user/somebody-else"], False),
    (TRUSTED, (ASSUME,), [TRUSTED], True),
    (TRUSTED, (ASSUME,), ["{me}"], True),
    (TRUSTED, (), ["{me}"], False),
    (TRUSTED, (), [TRUSTED], False),
    (OTHER, (ASSUME,), [TRUSTED, ACCOUNT], False),
]


@pytest.mark.parametrize(("account", "policies", "trust", "gets"), TRUST, ids=[str(n) for n in range(len(TRUST))])
def test_who_gets_a_role(
    registry: Registry, account: str, policies: tuple[str, ...], trust: list[str], gets: bool
) -> None:
    me, key = user(registry, *policies, account=account)
    _, arn = role(registry, [text.format(me=me) for text in trust])
    client = sts(registry, *key)
    if gets:
        assert client.assume_role(RoleArn=arn, RoleSessionName="s1")["Credentials"]
        return
    with pytest.raises(ClientError) as error:
        client.assume_role(RoleArn=arn, RoleSessionName="s1")
    assert error.value.response["Error"] == {
        "Type": "Sender",
        "Code": "AccessDenied",
        "Message": f"User: {me} is not authorized to perform: sts:AssumeRole on resource: {arn}",
    }


def test_nobody_learns_which_roles_exist(registry: Registry) -> None:
    _, key = user(registry, account=OTHER)
    for arn in (ROLE + "no-such-role", "arn:aws:iam::000000000001:role/x", "arn:aws:iam::12:role/x-y-z"):
        with pytest.raises(ClientError) as error:
            sts(registry, *key).assume_role(RoleArn=arn, RoleSessionName="s1")
        assert error.value.response["Error"]["Message"].endswith(f"sts:AssumeRole on resource: {arn}")


def test_a_role_may_be_taken_from_a_role_for_an_hour(registry: Registry) -> None:
    first, first_arn = role(registry, [ACCOUNT], inline={"on": json.loads(ASSUME)})
    _, second_arn = role(registry, [first_arn], max_session_seconds=7200)
    _, third_arn = role(registry, [f"arn:aws:sts::{ACCOUNT}:assumed-role/{first}/named"])
    client = sts(registry)
    taken = session_of(registry, client.assume_role(RoleArn=first_arn, RoleSessionName="a-name")["Credentials"])
    assert taken.assume_role(RoleArn=second_arn, RoleSessionName="s2")["Credentials"]
    assert refused(lambda: taken.assume_role(RoleArn=second_arn, RoleSessionName="s2", DurationSeconds=7200)) == (
        "ValidationError",
        400,
    )
    assert refused(lambda: taken.assume_role(RoleArn=third_arn, RoleSessionName="s3"))[0] == "AccessDenied"
    named = session_of(registry, client.assume_role(RoleArn=first_arn, RoleSessionName="named")["Credentials"])
    assert named.assume_role(RoleArn=third_arn, RoleSessionName="s3")["Credentials"]
    assert refused(taken.get_session_token) == ("AccessDenied", 403)


def test_a_session_policy_bounds_the_taking_of_roles_too(registry: Registry) -> None:
    _, first = role(registry, [ACCOUNT], inline={"on": json.loads(ASSUME)})
    _, by_account = role(registry, [ACCOUNT])
    _, by_name = role(registry, [first])

    def session(policy: str) -> Any:
        taken = sts(registry).assume_role(RoleArn=first, RoleSessionName="s1", Policy=policy)
        return session_of(registry, taken["Credentials"])

    for arn in (by_account, by_name):
        act = {"RoleArn": arn, "RoleSessionName": "s2"}
        assert session(allowing("sts:*")).assume_role(**act)["Credentials"]
        bounded = session(allowing("lookoutvision:*"))
        assert refused(lambda bounded=bounded, act=act: bounded.assume_role(**act)) == ("AccessDenied", 403)


def test_a_session_policy_only_takes_away(registry: Registry) -> None:
    _, arn = role(registry, [ACCOUNT], "AmazonLookoutVisionReadOnlyAccess")
    client = sts(registry)
    listing = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"lookoutvision:List*","Resource":"*"}}'
    taken = client.assume_role(RoleArn=arn, RoleSessionName="s1", Policy=listing)
    assert 0 < taken["PackedPolicySize"] <= 100
    bounded = lookout(registry, taken["Credentials"])
    bounded.list_projects()
    for act in (
        lambda: bounded.describe_project(ProjectName="x"),  # the role may, the session may not
        lambda: bounded.create_project(ProjectName="x"),  # neither may
    ):
        with pytest.raises(bounded.exceptions.AccessDeniedException):
            act()
    everything = lookout(
        registry, client.assume_role(RoleArn=arn, RoleSessionName="s1", Policy=allowing("*"))["Credentials"]
    )
    everything.list_projects()
    with pytest.raises(bounded.exceptions.ClientError, match="lookoutvision:CreateProject"):
        everything.create_project(ProjectName="x")
    # By name: what the role and one of the policies allow.
    named = client.assume_role(
        RoleArn=arn, RoleSessionName="s1", PolicyArns=[{"arn": "arn:aws:iam::aws:policy/operator"}]
    )
    with pytest.raises(bounded.exceptions.ClientError, match="lookoutvision:ListProjects"):
        lookout(registry, named["Credentials"]).list_projects()
    both = client.assume_role(
        RoleArn=arn,
        RoleSessionName="s1",
        Policy=listing,
        PolicyArns=[{"arn": "arn:aws:iam::aws:policy/operator"}],
    )
    lookout(registry, both["Credentials"]).list_projects()


def test_other_services_are_told_of_sessions(registry: Registry) -> None:
    name, arn = role(registry, [ACCOUNT], "operator")
    given = sts(registry).assume_role(RoleArn=arn, RoleSessionName="s1", Policy=allowing("vigia:*"))["Credentials"]
    told = httpx.get(
        f"{registry.url}/internal/v1/credentials/{given['AccessKeyId']}",
        headers={"Authorization": "Bearer the-internal-token"},
        trust_env=False,
    ).json()
    assert told["session_token"] == given["SessionToken"]
    assert told["secret_access_key"] == given["SecretAccessKey"]
    assert told["principal_arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/s1"
    assert told["session_policies"] == [allowing("vigia:*")]
    assert datetime.fromisoformat(told["expires_at"]) == given["Expiration"]


# --- what is refused ----------------------------------------------------------------------------------------------

GOOD = {"RoleArn": ROLE + "some-role", "RoleSessionName": "good-name"}
BROKEN = '{"Statement": {"Effect": "Allow", "Action": "*"}}'
UNKNOWN = BROKEN.replace("}}", ', "Resource": "*", "Condition": {"IsNice": {"aws:username": "ana"}}}}')


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"RoleArn": "short"}, "ValidationError"),
        ({"RoleArn": None}, "ValidationError"),
        ({"RoleSessionName": None}, "ValidationError"),
        ({"RoleSessionName": "x"}, "ValidationError"),
        ({"RoleSessionName": "x" * 65}, "ValidationError"),
        ({"RoleSessionName": "two words"}, "ValidationError"),
        ({"RoleSessionName": "<&>"}, "ValidationError"),
        ({"DurationSeconds": 899}, "ValidationError"),
        ({"DurationSeconds": 43201}, "ValidationError"),
        ({"DurationSeconds": 3601}, "ValidationError"),
        ({"Policy": BROKEN}, "MalformedPolicyDocument"),
        ({"Policy": "{"}, "MalformedPolicyDocument"),
        ({"Policy": UNKNOWN}, "MalformedPolicyDocument"),
        ({"Policy": " " * 2049}, "PackedPolicyTooLarge"),
        ({"PolicyArns": [{"arn": "arn:aws:iam::aws:policy/NoSuchPolicy"}]}, "ValidationError"),
        ({"PolicyArns": [{"arn": "arn:aws:iam::aws:policy/operator"}] * 11}, "ValidationError"),
        ({"Tags": [{"Key": "a", "Value": "b"}]}, "ValidationError"),
        ({"SerialNumber": "arn:aws:iam::1:mfa/x", "TokenCode": "123456"}, "ValidationError"),
        ({"SourceIdentity": "me"}, "ValidationError"),
    ],
)
def test_what_breaks_a_constraint(registry: Registry, change: dict[str, Any], code: str) -> None:
    _, arn = role(registry, [ACCOUNT])
    parameters = {name: value for name, value in {**GOOD, "RoleArn": arn, **change}.items() if value is not None}
    assert refused(lambda: sts(registry).assume_role(**parameters)) == (code, 400)


def test_sessions_of_users_have_bounds_too(registry: Registry) -> None:
    for seconds in (899, 129601):
        assert refused(lambda seconds=seconds: sts(registry).get_session_token(DurationSeconds=seconds)) == (
            "ValidationError",
            400,
        )
    assert sts(registry).get_session_token(DurationSeconds=129600)["Credentials"]


def test_nobody_gets_in_without_a_good_signature(registry: Registry) -> None:
    assert refused(sts(registry, KEY, "wrong").get_caller_identity) == ("SignatureDoesNotMatch", 403)
    assert refused(sts(registry, "AKIANOBODY0000000000").get_caller_identity) == ("InvalidClientTokenId", 403)
    bare = httpx.post(registry.url, data={"Action": "GetCallerIdentity", "Version": "2011-06-15"}, trust_env=False)
    assert (bare.status_code, error_of(bare)) == (403, "MissingAuthenticationToken")
    assert error_of(raw(registry, b"Action=GetCallerIdentity&Version=2011-06-15", service="lookoutvision")) == (
        "SignatureDoesNotMatch"
    )


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"Action=AssumeRoleWithSAML&Version=2011-06-15", "InvalidAction"),
        (b"Action=GetCallerIdentity&Version=2010-01-01", "InvalidAction"),
        (b"Action=%3Cscript%3E%00%26&Version=%ff", "ValidationError"),
        (b"Action=%3Cscript%3E%00%26&Version=2011-06-15", "InvalidAction"),
        (b"", "InvalidAction"),
        (b"\xff", "ValidationError"),
        (b"a=1&" * 200, "ValidationError"),
        (b"Action=GetCallerIdentity&Action=AssumeRole&Version=2011-06-15", "ValidationError"),
        (b"Action=AssumeRole&Version=2011-06-15&PolicyArns.member.2.arn=x", "ValidationError"),
    ],
)
def test_requests_that_no_client_makes(registry: Registry, body: bytes, code: str) -> None:
    answer = raw(registry, body)
    assert (answer.status_code, error_of(answer)) == (400, code)
    assert answer.headers["content-type"].startswith("text/xml")


def test_a_body_that_is_too_large(registry: Registry) -> None:
    answer = raw(registry, b"a=" + b"x" * 70_000)
    assert (answer.status_code, error_of(answer)) == (413, "RequestEntityTooLarge")


def raw(registry: Registry, body: bytes, service: str = "sts") -> httpx.Response:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    request = AWSRequest("POST", f"{registry.url}/", data=body, headers=headers)
    SigV4Auth(Credentials(KEY, SECRET), service, REGION).add_auth(request)
    return httpx.post(f"{registry.url}/", content=body, headers=dict(request.headers), trust_env=False)


def error_of(answer: httpx.Response) -> str:
    tree = ElementTree.fromstring(answer.text)
    assert tree.tag == f"{XMLNS}ErrorResponse"
    assert tree.findtext(f"{XMLNS}RequestId") == answer.headers["x-amzn-requestid"]
    return str(tree.findtext(f"{XMLNS}Error/{XMLNS}Code"))


# --- profiles -----------------------------------------------------------------------------------------------------


def test_a_profile_may_name_a_role(registry: Registry, tmp_path: Path) -> None:
    """``role_arn`` with ``source_profile``, in boto3 and in the AWS CLI."""
    name, arn = role(registry, [ACCOUNT])
    config, credentials = tmp_path / "config", tmp_path / "credentials"
    config.write_text(
        f"[services vigia]\nsts =\n  endpoint_url = {registry.url}\nlookoutvision =\n  endpoint_url = {registry.url}\n"
        f"[profile person]\nregion = {REGION}\nservices = vigia\n"
        f"[profile lookoutvision-access]\nregion = {REGION}\nservices = vigia\n"
        f"role_arn = {arn}\nsource_profile = person\nrole_session_name = bench\n"
    )
    credentials.write_text(f"[person]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n")
    kept = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    environment = {
        **kept,
        "AWS_CONFIG_FILE": str(config),
        "AWS_SHARED_CREDENTIALS_FILE": str(credentials),
        "AWS_DATA_PATH": str(data_path()),
        "AWS_EC2_METADATA_DISABLED": "true",
        "HOME": str(tmp_path),
    }
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/bench"
    program = (
        "import boto3\n"
        "session = boto3.Session(profile_name='lookoutvision-access')\n"
        "print(session.client('sts').get_caller_identity()['Arn'])\n"
        "print('Projects' in session.client('lookoutvision').list_projects())\n"
    )
    assert run(environment, sys.executable, "-c", program) == f"{session}\nTrue\n"
    aws = str(Path(sys.executable).with_name("aws"))
    profile = ("--profile", "lookoutvision-access")
    who = run(environment, aws, "sts", "get-caller-identity", "--query", "Arn", "--output", "text", *profile)
    assert who == f"{session}\n"
    assert run(environment, aws, "lookoutvision", "list-projects", "--query", "Projects[0:0]", *profile).strip() == "[]"
    refusal = subprocess.run(
        [aws, "lookoutvision", "create-project", "--project-name", "x", *profile],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "AccessDeniedException" in refusal.stderr
    assert f"User: {session} is not authorized to perform: lookoutvision:CreateProject" in refusal.stderr


def run(environment: dict[str, str], *command: str) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
