"""Tags of model versions: what is given is kept, what breaks a rule changes nothing, what serves says so."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from vigia_registry import migrate

from .commands import aws
from .conftest import ACCOUNT, REGION, Registry
from .test_errors import raw, refused
from .test_lifecycle import OUTPUT, describe, gone, trainable
from .versions import trained

TAGS = [{"Key": "stage", "Value": "production"}, {"Key": "Kostenstelle Süd", "Value": ""}]


@pytest.fixture
def arn(registry: Registry, project: str) -> str:
    """The ARN of a trained version."""
    return trained(registry, project)


def tags(lookout: Any, arn: str) -> dict[str, str]:
    found = lookout.list_tags_for_resource(ResourceArn=arn)["Tags"]
    assert [tag["Key"] for tag in found] == sorted(tag["Key"] for tag in found)
    return {tag["Key"]: tag["Value"] for tag in found}


def test_a_version_is_tagged_when_it_is_made(registry: Registry, lookout: Any, project: str) -> None:
    trainable(registry, lookout, project)
    answer = lookout.create_model(ProjectName=project, OutputConfig=OUTPUT, Tags=TAGS)
    arn = answer["ModelMetadata"]["ModelArn"]
    assert tags(lookout, arn) == {"stage": "production", "Kostenstelle Süd": ""}
    untagged = lookout.create_model(ProjectName=project, OutputConfig=OUTPUT, Tags=[])["ModelMetadata"]["ModelArn"]
    assert tags(lookout, untagged) == {}
    many = [{"Key": f"k{n}", "Value": ""} for n in range(51)]
    error = refused(lambda: lookout.create_model(ProjectName=project, OutputConfig=OUTPUT, Tags=many))
    assert (error["code"], error["quota"]) == ("ServiceQuotaExceededException", "tags_per_resource")
    reserved = [{"Key": "aws:team", "Value": "x"}]
    error = refused(lambda: lookout.create_model(ProjectName=project, OutputConfig=OUTPUT, Tags=reserved))
    assert error["code"] == "ValidationException"
    assert len(lookout.list_models(ProjectName=project)["Models"]) == 2
    registry.sql("update registry.model_versions set state = 'TRAINING_FAILED' where state = 'TRAINING'")


def test_tags_are_added_changed_listed_and_taken_away(lookout: Any, arn: str) -> None:
    answer = lookout.tag_resource(ResourceArn=arn, Tags=TAGS)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    lookout.tag_resource(
        ResourceArn=arn, Tags=[{"Key": "stage", "Value": "test"}, {"Key": "a+b=c@d/e:f.g_h-1", "Value": "²"}]
    )
    assert tags(lookout, arn) == {"stage": "test", "Kostenstelle Süd": "", "a+b=c@d/e:f.g_h-1": "²"}
    # Several keys, one of which is not there.
    gone = lookout.untag_resource(ResourceArn=arn, TagKeys=["Kostenstelle Süd", "a+b=c@d/e:f.g_h-1", "nothing"])
    assert gone["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert tags(lookout, arn) == {"stage": "test"}
    lookout.untag_resource(ResourceArn=arn, TagKeys=[])
    lookout.tag_resource(ResourceArn=arn, Tags=[])
    assert tags(lookout, arn) == {"stage": "test"}


def test_an_arn_may_be_encoded_as_little_as_a_client_likes(registry: Registry, lookout: Any, arn: str) -> None:
    lookout.tag_resource(ResourceArn=arn, Tags=TAGS[:1])
    for written in (
        arn,
        arn.replace(":", "%3A"),
        arn.replace("/", "%2F"),
        arn.replace("/", "%2f").replace(":", "%3a"),
    ):
        answer = raw(registry, "GET", f"/2020-11-20/tags/{written}")
        assert (answer.status_code, answer.json()) == (200, {"Tags": TAGS[:1]})
    assert raw(registry, "DELETE", f"/2020-11-20/tags/{arn}?tagKeys=stage&tagKeys=b").status_code == 200
    assert tags(lookout, arn) == {}


@pytest.mark.parametrize(
    "given",
    [
        None,
        "stage",
        [{"Key": "a"}],
        [{"Value": "a"}],
        [{"Key": "", "Value": "a"}],
        [{"Key": "k" * 129, "Value": ""}],
        [{"Key": "k", "Value": "v" * 257}],
        [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}],
        [{"Key": "semi;colon", "Value": ""}],
        [{"Key": "k", "Value": "tab\t"}],
        [{"Key": "aws:created-by", "Value": "me"}],
        [{"Key": "AWS:created-by", "Value": "me"}],
        [{"Key": f"k{n}", "Value": ""} for n in range(201)],
    ],
)
def test_a_bad_tag_changes_nothing(registry: Registry, lookout: Any, arn: str, given: Any) -> None:
    good = [{"Key": "good", "Value": "1"}]
    mixed = [*good, *given] if isinstance(given, list) else given
    body = json.dumps({"Tags": mixed}).encode()
    answer = raw(registry, "POST", f"/2020-11-20/tags/{arn}", body)
    assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (400, "ValidationException")
    assert tags(lookout, arn) == {}


def test_keys_to_take_away_are_checked(lookout: Any, arn: str) -> None:
    for keys in (["k" * 129], [f"k{n}" for n in range(201)], ["semi;colon"]):
        error = refused(lambda keys=keys: lookout.untag_resource(ResourceArn=arn, TagKeys=keys))
        assert error["code"] == "ValidationException"


def test_a_version_has_fifty_tags_at_most(lookout: Any, arn: str) -> None:
    lookout.tag_resource(ResourceArn=arn, Tags=[{"Key": f"k{n:02}", "Value": "v" * 256} for n in range(49)])
    two = [{"Key": "k49", "Value": ""}, {"Key": "k50", "Value": ""}]
    error = refused(lambda: lookout.tag_resource(ResourceArn=arn, Tags=two))
    assert (error["code"], error["status"]) == ("ServiceQuotaExceededException", 402)
    assert (error["quota"], error["type"], error["id"]) == ("tags_per_resource", "MODEL", arn)
    assert len(tags(lookout, arn)) == 49
    lookout.tag_resource(ResourceArn=arn, Tags=two[:1])
    # What is there already can be given a new value.
    lookout.tag_resource(ResourceArn=arn, Tags=[{"Key": "k00", "Value": "new"}])
    assert (len(tags(lookout, arn)), tags(lookout, arn)["k00"]) == (50, "new")


def test_callers_at_the_same_time_do_not_pass_the_limit(lookout: Any, arn: str) -> None:
    def add(n: int) -> bool:
        try:
            lookout.tag_resource(ResourceArn=arn, Tags=[{"Key": f"{n}-{m}", "Value": ""} for m in range(9)])
        except lookout.exceptions.ServiceQuotaExceededException:
            return False
        return True

    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(add, range(10))) == 5
    assert len(tags(lookout, arn)) == 45


def test_what_is_not_the_callers_is_not_found(registry: Registry, lookout: Any, project: str, arn: str) -> None:
    prefix = f"arn:aws:lookoutvision:{REGION}:{ACCOUNT}"
    wrong = [
        f"{prefix}:model/{project}/2",
        f"{prefix}:model/{project}/latest",
        f"{prefix}:model/nobody/1",
        f"{prefix}:project/{project}",
        arn.replace(ACCOUNT, "222233334444"),
        arn.replace(REGION, "eu-west-1"),
        arn.replace("lookoutvision", "rekognition"),
        arn.upper(),
        "stage",
    ]
    for other in wrong:
        for call in (
            lambda other=other: lookout.list_tags_for_resource(ResourceArn=other),
            lambda other=other: lookout.tag_resource(ResourceArn=other, Tags=TAGS),
            lambda other=other: lookout.untag_resource(ResourceArn=other, TagKeys=["stage"]),
        ):
            error = refused(call)
            assert (error["code"], error["status"]) == ("ResourceNotFoundException", 404)
            assert (error["type"], error["id"]) == ("MODEL", other)
    for stranger in (registry.client(*registry.add_key("333344445555")), registry.client(region="eu-west-1")):
        error = refused(lambda stranger=stranger: stranger.list_tags_for_resource(ResourceArn=arn))
        assert error["code"] == "ResourceNotFoundException"
    assert registry.sql("select count(*) from registry.tags where resource_arn = any(%s)", wrong) == [(0,)]
    error = refused(lambda: lookout.list_tags_for_resource(ResourceArn="a" * 1012))
    assert error["code"] == "ValidationException"


def test_who_may_tag_is_asked_about_the_arn(registry: Registry, arn: str) -> None:
    client = registry.client(*registry.add_key(actions=("lookoutvision:ListTags*",)))
    client.list_tags_for_resource(ResourceArn=arn)
    error = refused(lambda: client.tag_resource(ResourceArn=arn, Tags=TAGS))
    assert error["code"] == "AccessDeniedException"
    assert error["message"].endswith(f"lookoutvision:TagResource on resource: {arn}")


def test_tags_go_with_their_version(registry: Registry, lookout: Any, project: str, arn: str) -> None:
    lookout.tag_resource(ResourceArn=arn, Tags=TAGS)
    lookout.delete_model(ProjectName=project, ModelVersion="1")
    gone(lambda: describe(lookout, project))
    assert registry.sql("select * from registry.tags where resource_arn = %s", arn) == []


def test_the_command_line_tags_as_the_guide_shows(registry: Registry, arn: str) -> None:
    given = '[{"Key": "Key", "Value": "Value"}]'
    _, tagged, _, untagged = aws(
        registry,
        ["tag-resource", "--resource-arn", arn, "--tags", given],
        ["list-tags-for-resource", "--resource-arn", arn],
        ["untag-resource", "--resource-arn", arn, "--tag-keys", '["Key"]'],
        ["list-tags-for-resource", "--resource-arn", arn],
    )
    assert tagged == {"Tags": json.loads(given)}
    assert untagged == {"Tags": []}


def test_tags_of_the_release_before_are_kept(postgres_url: str) -> None:
    migrate.upgrade(postgres_url, "0002")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("insert into registry.accounts (id) values (%s)", [ACCOUNT])
        connection.execute(
            "insert into registry.projects (id, account_id, region, name, arn, state) "
            "values (gen_random_uuid(), %s, 'r', 'p', 'p', 'ACTIVE')",
            [ACCOUNT],
        )
        for version, tags in ((1, [{"key": "a", "value": "1"}, {"key": "b", "value": ""}]), (2, [])):
            connection.execute(
                "insert into registry.model_versions (id, arn, project_id, account_id, region, version, state, tags, "
                "output, training_manifest) select gen_random_uuid(), %s, id, account_id, region, %s, 'TRAINED', %s, "
                "'{}', '{}' from registry.projects",
                [f"arn-{version}", version, json.dumps(tags)],
            )
        migrate.upgrade(postgres_url)
        rows = connection.execute("select resource_arn, key, value from registry.tags order by 1, 2").fetchall()
        assert rows == [("arn-1", "a", "1"), ("arn-1", "b", "")]
        connection.execute("update registry.tags set value = '2' where key = 'a'")
        migrate.downgrade(postgres_url, "0002")
        [(kept,)] = connection.execute("select tags from registry.model_versions where version = 1").fetchall()
        assert sorted(kept, key=str) == [{"key": "a", "value": "2"}, {"key": "b", "value": ""}]
