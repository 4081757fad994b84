"""Users, access keys, roles and policies through ``/api/v1/iam``, as the ``vigia`` client asks."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import httpx
import pytest

from vigia_client.api import ApiError
from vigia_client.signing import SigV4
from vigia_registry.identity.domain import MAX_ATTACHED, MAX_INLINE, MAX_USERS
from vigia_runtime.policies import MAX_DOCUMENT

from .conftest import ACCOUNT, KEY, SECRET, Registry, until
from .people import Iam
from .test_errors import refused

READS = {
    "Version": "2012-10-17",
    "Statement": [{"Sid": "Reads", "Effect": "Allow", "Action": "lookoutvision:List*", "Resource": "*"}],
}


@pytest.fixture
def iam(registry: Registry) -> Iterator[Iam]:
    with Iam(registry.url, httpx.BasicAuth(KEY, SECRET)) as vigia:
        yield vigia


def new(prefix: str = "u") -> str:
    return f"{prefix}-{uuid.uuid4().hex[:10]}"


def told(act: Callable[[], Any]) -> tuple[int, str]:
    with pytest.raises(ApiError) as error:
        act()
    return error.value.status, error.value.code


def test_a_user_its_policies_and_its_keys(registry: Registry, iam: Iam) -> None:
    name = new()
    made = iam.put_user(name, ["AmazonLookoutVisionReadOnlyAccess"], {"mine": READS})
    assert made["arn"] == f"arn:aws:iam::{ACCOUNT}:user/{name}"
    assert made["user_id"].startswith("AIDA")
    assert (made["policies"], made["inline"]) == (["AmazonLookoutVisionReadOnlyAccess"], {"mine": READS})
    again = iam.put_user(name, ["arn:aws:iam::aws:policy/operator", "operator"])
    assert (again["user_id"], again["policies"], again["inline"]) == (made["user_id"], ["operator"], {})
    assert iam.user(name) == again
    assert name in [row["name"] for row in iam.users()]

    key = iam.add_access_key(name)
    assert (key["status"], key["last_used_at"], key["user"]) == ("Active", None, name)
    assert len(key["secret_access_key"]) == 40
    [shown] = iam.access_keys(name)
    assert shown == {member: value for member, value in key.items() if member != "secret_access_key"}
    for row in registry.sql("select * from registry.access_keys"):
        assert key["secret_access_key"] not in str(row)

    iam.remove_user(name)
    assert told(lambda: iam.user(name)) == (404, "user_not_found")
    gone = registry.client(key["access_key_id"], key["secret_access_key"])
    assert refused(gone.list_projects)["code"] == "UnrecognizedClientException"


def test_keys_are_rotated(registry: Registry, iam: Iam) -> None:
    name = new()
    iam.put_user(name, ["AmazonLookoutVisionReadOnlyAccess"])
    old, fresh = iam.add_access_key(name), iam.add_access_key(name)
    assert told(lambda: iam.add_access_key(name)) == (409, "limit_reached")
    clients = [registry.client(key["access_key_id"], key["secret_access_key"]) for key in (old, fresh)]
    for client in clients:
        client.list_projects()
    # The old key sleeps first, so that what still used it is found before it is gone.
    assert iam.switch_access_key(name, old["access_key_id"], False)["status"] == "Inactive"
    assert refused(clients[0].list_projects)["code"] == "UnrecognizedClientException"
    clients[1].list_projects()
    iam.switch_access_key(name, old["access_key_id"], True)
    clients[0].list_projects()
    iam.remove_access_key(name, old["access_key_id"])
    assert refused(clients[0].list_projects)["code"] == "UnrecognizedClientException"
    assert [row["access_key_id"] for row in iam.access_keys(name)] == [fresh["access_key_id"]]
    iam.add_access_key(name)
    assert told(lambda: iam.remove_access_key(name, old["access_key_id"])) == (404, "access_key_not_found")
    assert told(lambda: iam.switch_access_key("admin", old["access_key_id"], True)) == (404, "access_key_not_found")


def test_the_last_use_of_a_key_is_known(registry: Registry, iam: Iam) -> None:
    name = new()
    iam.put_user(name, ["AmazonLookoutVisionReadOnlyAccess"])
    key = iam.add_access_key(name)
    # A guess is no use, and neither is another service's question before it has a proof.
    assert refused(registry.client(key["access_key_id"], "wrong").list_projects)["status"] == 403
    inside = {"Authorization": "Bearer the-internal-token"}
    url = f"{registry.url}/internal/v1/credentials/{key['access_key_id']}"
    assert httpx.get(url, headers=inside, trust_env=False).status_code == 200
    assert iam.access_keys(name)[0]["last_used_at"] is None
    registry.client(key["access_key_id"], key["secret_access_key"]).list_projects()
    row = iam.access_keys(name)[0]
    assert row["last_used_service"] == "lookoutvision"
    assert datetime.now(UTC) - datetime.fromisoformat(row["last_used_at"]) < timedelta(minutes=1)
    # Another service had the proof.
    assert httpx.post(f"{url}/uses", json={"service": "vigia"}, trust_env=False).status_code == 403
    assert httpx.post(f"{url}/uses", json={"service": "vigia"}, headers=inside, trust_env=False).status_code == 204
    assert iam.access_keys(name)[0]["last_used_service"] == "vigia"


def test_policies_of_the_account(registry: Registry, iam: Iam) -> None:
    name, user, role = new("p"), new(), new("r")
    made = iam.put_policy(name, READS, "Lists everything")
    assert (made["arn"], made["managed"]) == (f"arn:aws:iam::{ACCOUNT}:policy/{name}", False)
    assert (made["document"], made["description"]) == (READS, "Lists everything")
    iam.put_user(user, [made["arn"]])
    iam.put_role(role, [ACCOUNT], [name])
    key = iam.add_access_key(user)
    client = registry.client(key["access_key_id"], key["secret_access_key"])
    client.list_projects()
    # A change counts at once, for everyone who has it.
    statement = {"Effect": "Deny", "Action": "*", "Resource": "*"}
    iam.put_policy(name, {"Statement": statement})
    assert refused(client.list_projects)["code"] == "AccessDeniedException"
    with pytest.raises(ApiError, match=f"user {user}, role {role}") as error:
        iam.remove_policy(name)
    assert error.value.code == "policy_in_use"
    iam.put_user(user)
    iam.remove_role(role)
    iam.remove_policy(name)
    assert told(lambda: iam.policy(name)) == (404, "policy_not_found")
    assert told(lambda: iam.remove_policy(name)) == (404, "policy_not_found")


def test_a_policy_that_vanished_denies_all(registry: Registry, iam: Iam) -> None:
    """It cannot happen through the door; if it does, whoever had it is locked out, not let in."""
    name, user = new("p"), new()
    iam.put_policy(name, {"Statement": {"Effect": "Deny", "Action": "lookoutvision:Delete*", "Resource": "*"}})
    iam.put_user(user, [name, "AdministratorAccess"])
    key = iam.add_access_key(user)
    client = registry.client(key["access_key_id"], key["secret_access_key"])
    client.list_projects()
    registry.sql("delete from registry.policies where name = %s", name)
    assert refused(client.list_projects)["code"] == "AccessDeniedException"


def test_managed_policies_are_listed_first_and_fixed(iam: Iam) -> None:
    iam.put_policy("A-first-by-name", READS)
    rows = list(iam.policies())
    managed = [row for row in rows if row["managed"]]
    assert rows[: len(managed)] == managed
    names = [row["name"] for row in managed]
    assert names == sorted(names)
    assert {"AmazonLookoutVisionReadOnlyAccess", "AdministratorAccess", "operator", "admin"} <= set(names)
    full = iam.policy("AmazonLookoutVisionFullAccess")
    assert full["arn"] == "arn:aws:iam::aws:policy/AmazonLookoutVisionFullAccess"
    assert full["document"]["Statement"] == [
        {
            "Sid": "LookoutVisionFullAccess",
            "Effect": "Allow",
            "Action": ["lookoutvision:*"],
            "Resource": "*",
        }
    ]
    assert told(lambda: iam.put_policy("AmazonLookoutVisionFullAccess", READS)) == (409, "managed_policy")
    assert told(lambda: iam.remove_policy("operator")) == (409, "managed_policy")


def test_lists_come_in_pages_without_gaps(registry: Registry, iam: Iam) -> None:
    prefix = new("page")
    for number in range(5):
        iam.put_user(f"{prefix}-{number}")
        iam.put_policy(f"{prefix}-{number}", READS)
    with httpx.Client(base_url=f"{registry.url}/api/v1/iam", auth=(KEY, SECRET), trust_env=False) as client:
        for kind in ("users", "policies"):
            found, cursor = [], None
            while True:
                page = client.get(f"/{kind}", params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
                assert len(page["items"]) <= 2
                found += [row["name"] for row in page["items"]]
                cursor = page["next"]
                if cursor is None:
                    break
            assert len(found) == len(set(found))
            assert [name for name in found if name.startswith(prefix)] == [f"{prefix}-{n}" for n in range(5)]
            everything = client.get(f"/{kind}", params={"limit": 200}).json()["items"]
            assert found == [row["name"] for row in everything]
        assert client.get("/users", params={"cursor": "forged"}).status_code == 400


BAD_USERS: list[tuple[list[str], dict[str, Any], str]] = [
    (["NoSuchPolicy"], {}, "unknown_policy"),
    (["arn:aws:iam::999999999999:policy/theirs"], {}, "unknown_policy"),
    (["arn:aws:iam::aws:policy/NoSuchPolicy"], {}, "unknown_policy"),
    (["arn:aws:iam::111122223333:policy/operator"], {}, "unknown_policy"),
    (["a/b"], {}, "bad_name"),
    ([], {"a b": READS}, "bad_name"),
    ([], {"x": {"Statement": {"Effect": "Allow", "Action": "*"}}}, "malformed_policy"),
    ([], {"x": {"Statement": [{"Sid": "a" * MAX_DOCUMENT}]}}, "malformed_policy"),
    ([], {f"p{number}": READS for number in range(MAX_INLINE + 1)}, "limit_reached"),
    (["operator"] * (MAX_ATTACHED + 1), {}, "limit_reached"),
]


@pytest.mark.parametrize(("policies", "inline", "code"), BAD_USERS, ids=[str(n) for n in range(len(BAD_USERS))])
def test_what_a_user_cannot_be_given(iam: Iam, policies: list[str], inline: dict[str, Any], code: str) -> None:
    name = new()
    assert told(lambda: iam.put_user(name, policies, inline))[1] == code
    assert told(lambda: iam.user(name)) == (404, "user_not_found")


def test_bad_names_and_bodies(registry: Registry, iam: Iam) -> None:
    for bad in ("a b", "ü", "x" * 65, "a:b"):
        assert told(lambda bad=bad: iam.put_user(bad)) == (400, "bad_name")
        assert told(lambda bad=bad: iam.put_role(bad, [])) == (400, "bad_name")
    for trust in ("*", "12345", "arn:aws:iam::1:user/x", f"arn:aws:iam::{ACCOUNT}:group/x"):
        assert told(lambda trust=trust: iam.put_role(new("r"), [trust])) == (400, "not_a_principal")
    assert told(lambda: iam.put_role(new("r"), [], max_session_seconds=60)) == (400, "invalid_input")
    assert told(lambda: iam.put_policy(new("p"), {"Version": "1"})) == (400, "malformed_policy")
    for call in (iam.user, iam.remove_user, iam.add_access_key, iam.access_keys):
        assert told(lambda call=call: call("nobody")) == (404, "user_not_found")
    for call in (iam.role, iam.remove_role):
        assert told(lambda call=call: call("nobody")) == (404, "role_not_found")
    with httpx.Client(base_url=f"{registry.url}/api/v1/iam", auth=(KEY, SECRET), trust_env=False) as client:
        assert client.put("/users/x", json={"policy": ["operator"]}).status_code == 400
        assert client.put("/users/x", content=b"{").status_code == 400
        body = b'{"inline": {"x": {"Statement": {"Effect": "Allow", "Action": "a:\\ud800", "Resource": "*"}}}}'
        assert client.put("/users/x", content=body, headers={"Content-Type": "application/json"}).status_code == 400


def test_a_policy_that_cannot_be_shown_is_refused_and_spoils_no_list(registry: Registry) -> None:
    account = f"{uuid.uuid4().int % 10**12:012d}"
    head = '{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"'
    documents = (
        head + ', "Condition": {"StringEquals": {"aws:x": NaN}}}}',
        head + ', "Condition": {"StringEquals": {"aws:x": 1e999}}}}',
        head + ', "Condition": {"StringEquals": {"aws:x": "\\ud800"}}}}',
        head + '}, "Id": ' + "[" * 300 + "]" * 300 + "}",
    )
    headers = {"Content-Type": "application/json"}
    auth = registry.add_key(account)
    with httpx.Client(base_url=f"{registry.url}/api/v1/iam", auth=auth, trust_env=False) as client:
        for number, document in enumerate(documents):
            answer = client.put(f"/users/u{number}", content=f'{{"inline": {{"x": {document}}}}}', headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (400, "malformed_policy")
            answer = client.put(f"/policies/p{number}", content=f'{{"document": {document}}}', headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (400, "malformed_policy")
        assert len(client.get("/users").json()["items"]) == 1
        assert client.get("/policies", params={"limit": 200}).status_code == 200


@pytest.mark.parametrize("key", ["\0", "AKIA\0" + "A" * 15, "Ä" * 20, "A" * 5000, "", "../../uses"])
def test_an_impossible_key_is_an_unknown_key(registry: Registry, key: str) -> None:
    answer = httpx.get(f"{registry.url}/api/v1/lines", auth=(key.encode(), b"x"), trust_env=False)
    assert answer.status_code == 401


def test_an_account_keeps_somebody_who_may_manage_it(registry: Registry) -> None:
    account = f"{uuid.uuid4().int % 10**12:012d}"
    manages = {"Statement": {"Effect": "Allow", "Action": "vigia:Manage*", "Resource": "*"}}
    denies = {"Statement": {"Effect": "Deny", "Action": "vigia:*", "Resource": "*"}}
    key, secret = registry.add_user("ana", policies=("AdministratorAccess",), account=account)
    with Iam(registry.url, httpx.BasicAuth(key, secret)) as iam:
        iam.put_policy("manages", manages)
        iam.put_user("bob", ["manages"])  # who has no key, and so can manage nothing
        iam.put_user("ana", ["manages"])
        for act in (
            lambda: iam.remove_user("ana"),
            lambda: iam.put_user("ana", ["engineer"]),
            lambda: iam.put_user("ana", ["manages"], {"no": denies}),
            lambda: iam.put_policy("manages", denies),
            lambda: iam.switch_access_key("ana", key, False),
            lambda: iam.remove_access_key("ana", key),
        ):
            assert told(act) == (409, "last_manager")
            assert iam.user("ana")["policies"] == ["manages"]
        spare = iam.add_access_key("bob")["access_key_id"]
        iam.switch_access_key("bob", spare, False)
        assert told(lambda: iam.remove_user("ana")) == (409, "last_manager")
        iam.switch_access_key("bob", spare, True)
        iam.remove_user("ana")
    # Who may take a role of the account still manages it, though no user of its own can be left without.
    assert registry.sql("select name from registry.users where account_id = %s", account) == [("bob",)]


def test_an_account_that_roles_manage_needs_no_user(registry: Registry, iam: Iam) -> None:
    account = f"{uuid.uuid4().int % 10**12:012d}"
    registry.add_user("bob", account=account)
    registry.sql(
        "insert into registry.roles (account_id, name, id, policies, trust, max_session_seconds) "
        "values (%s, 'ops', %s, '{AdministratorAccess}', array[%s], 3600)",
        *(account, new("R")[:21], ACCOUNT),
    )
    sts = boto3.client(
        "sts", "us-east-1", endpoint_url=registry.url, aws_access_key_id=KEY, aws_secret_access_key=SECRET
    )
    taken = sts.assume_role(RoleArn=f"arn:aws:iam::{account}:role/ops", RoleSessionName="s1")["Credentials"]
    auth = SigV4(taken["AccessKeyId"], taken["SecretAccessKey"], "us-east-1", taken["SessionToken"])
    with Iam(registry.url, auth) as ops:
        ops.put_user("bob", ["operator"])
        ops.remove_user("bob")


def test_the_number_of_users_is_bounded(registry: Registry) -> None:
    account = "444455556666"
    with Iam(registry.url, httpx.BasicAuth(*registry.add_key(account))) as iam:
        registry.sql(
            "insert into registry.users (account_id, name, id) select %s, 'filler-' || n, 'F' || n "
            "from generate_series(2, %s) n",
            *(account, MAX_USERS),
        )
        assert told(lambda: iam.put_user("one-too-many")) == (409, "limit_reached")
        assert told(lambda: iam.user("one-too-many")) == (404, "user_not_found")
        iam.put_user("filler-2", ["operator"])


def test_only_who_may_manage_identities_does(registry: Registry) -> None:
    for policy in ("engineer", "operator", "AmazonLookoutVisionFullAccess"):
        auth = httpx.BasicAuth(*registry.add_user(new(), policies=(policy,)))
        with Iam(registry.url, auth) as vigia:
            for act in (
                lambda vigia=vigia: list(vigia.users()),
                lambda vigia=vigia: vigia.put_user("me", ["AdministratorAccess"]),
                lambda vigia=vigia: vigia.add_access_key("admin"),
                lambda vigia=vigia: vigia.put_role("r", [ACCOUNT], ["AdministratorAccess"]),
                lambda vigia=vigia: vigia.simulate("a:B", user="admin"),
                lambda vigia=vigia: list(vigia.accounts()),
            ):
                assert told(act) == (403, "access_denied")
    with Iam(registry.url, httpx.BasicAuth(*registry.add_user(new(), policies=("admin",)))) as vigia:
        assert vigia.user("admin")["policies"] == ["AdministratorAccess"]


def test_accounts_are_apart(registry: Registry, iam: Iam) -> None:
    account = f"{uuid.uuid4().int % 10**12:012d}"
    added = iam.add_account(account)
    assert told(lambda: iam.add_account(account)) == (409, "account_exists")
    assert told(lambda: iam.add_account("12")) == (400, "invalid_input")
    assert account in [row["account_id"] for row in iam.accounts()]
    key = added["access_key"]
    mine, theirs = new(), new()
    iam.put_user(mine)
    with Iam(registry.url, httpx.BasicAuth(key["access_key_id"], key["secret_access_key"])) as other:
        assert [row["name"] for row in other.users()] == ["admin"]
        other.put_user(theirs, ["AdministratorAccess"])
        assert told(lambda: other.user(mine)) == (404, "user_not_found")
        assert told(lambda: iam.user(theirs)) == (404, "user_not_found")
        # Accounts are the installation's matter.
        assert told(lambda: list(other.accounts())) == (403, "access_denied")
        assert told(lambda: other.add_account("123456789013")) == (403, "access_denied")
    client = registry.client(key["access_key_id"], key["secret_access_key"])
    client.create_project(ProjectName="theirs")
    assert [row["ProjectName"] for row in client.list_projects()["Projects"]] == ["theirs"]


def test_asking_what_somebody_may_do(iam: Iam) -> None:
    user, role = new(), new("r")
    arn = f"arn:aws:lookoutvision:us-east-1:{ACCOUNT}:model/cookies/1"
    deny = {
        "Statement": {
            "Sid": "Production",
            "Effect": "Deny",
            "Action": "lookoutvision:StopModel",
            "Resource": "*",
            "Condition": {"StringEquals": {"aws:ResourceTag/stage": "production", "aws:username": user}},
        }
    }
    iam.put_user(user, ["AmazonLookoutVisionFullAccess"], {"careful": deny})
    iam.put_role(role, [ACCOUNT], ["operator"])
    allowed = iam.simulate("lookoutvision:StopModel", arn, user=user)
    assert allowed == {
        "decision": "allowed",
        "matched": [{"policy": "AmazonLookoutVisionFullAccess", "statement": "LookoutVisionFullAccess"}],
    }
    tags = {"aws:ResourceTag/stage": ["production"]}
    assert iam.simulate("lookoutvision:StopModel", arn, user=user, context=tags) == {
        "decision": "explicitDeny",
        "matched": [{"policy": "inline careful", "statement": "Production"}],
    }
    assert iam.simulate("vigia:PutFrame", role=role)["decision"] == "allowed"
    assert iam.simulate("lookoutvision:StopModel", role=role) == {"decision": "implicitDeny", "matched": []}
    assert told(lambda: iam.simulate("a:B")) == (400, "user_or_role")
    assert told(lambda: iam.simulate("a:B", user=user, role=role)) == (400, "user_or_role")
    assert told(lambda: iam.simulate("a:B", user="nobody")) == (404, "user_not_found")


def test_the_installations_key_may_do_everything_whatever_was_changed(registry: Registry, iam: Iam) -> None:
    """Migrating gives the first user its policies back: nobody can be locked out for good."""
    from vigia_registry.migrate import create_admin

    assert iam.user("admin")["policies"] == ["AdministratorAccess"]
    registry.add_user(new(), policies=("admin",))  # the last who may manage identities cannot lose that
    iam.put_user("admin", ["operator"], {"no": {"Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}}})
    assert told(lambda: iam.user("admin")) == (403, "access_denied")
    import asyncio

    asyncio.run(create_admin(registry.settings))
    again = iam.user("admin")
    assert (again["policies"], again["inline"]) == (["AdministratorAccess"], {})
    asyncio.run(create_admin(registry.settings))
    assert iam.user("admin") == again


def test_the_document_shows_the_routes(registry: Registry) -> None:
    document = until(lambda: httpx.get(f"{registry.url}/openapi.json", trust_env=False).json())
    paths = {path for path in document["paths"] if path.startswith("/api/v1/iam")}
    assert paths == {
        f"/api/v1/iam/{path}"
        for path in (
            "users",
            "users/{name}",
            "users/{name}/access-keys",
            "users/{name}/access-keys/{access_key_id}",
            "policies",
            "policies/{name}",
            "roles",
            "roles/{name}",
            "simulate",
            "accounts",
        )
    }
    secrets = [name for name, shape in document["components"]["schemas"].items() if "secret" in json.dumps(shape)]
    assert secrets == ["NewKey"]
