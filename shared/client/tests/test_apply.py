"""`vigia apply` against a real registry: what is declared comes to be, once, and nothing else is touched."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from vigia_client.api import ApiError, Vigia
from vigia_client.cli import app
from vigia_client.environment import Environment
from vigia_client.errors import ActionableError
from vigia_client.lookout import rekognition, sts
from vigia_client.provisioning.changes import Act, Change, Outcome, differences, make_all

from .conftest import DoorStub, Installation
from .held import CRACK, entry, lines, mask, photo, write

EXAMPLE = Path(__file__).parents[3] / "docs" / "project.yaml"


def apply(*arguments: str | Path) -> Result:
    done = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["apply", *map(str, arguments)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def rows(done: Result) -> dict[str, dict[str, Any]]:
    """What `--json` printed, by kind and name."""
    found = [json.loads(line) for line in done.output.splitlines()]
    return {f"{row['kind']} {row['name']}": row for row in found}


def acts(done: Result) -> dict[str, str]:
    return {name: row["act"] for name, row in rows(done).items()}


@pytest.fixture
def names() -> dict[str, str]:
    """Names that no other test uses."""
    word = uuid.uuid4().hex[:8]
    return {"project": f"p-{word}", "line": f"l-{word}", "camera": f"c-{word}"}


def file(tmp_path: Path, text: str, name: str = "project.yaml") -> Path:
    (tmp_path / name).write_text(text)
    return tmp_path / name


def state(here: Installation, names: dict[str, str]) -> tuple[Any, ...]:
    """What there is of a test's own things."""
    with Vigia.of(here.environment) as vigia:
        cameras = [c for c in vigia.cameras() if names["camera"] in c["camera_id"]]
        stations = [line for line in vigia.lines() if names["line"] in line["line_id"]]
    projects = [
        p for p in here.lookout.list_projects(MaxResults=100)["Projects"] if names["project"] in p["ProjectName"]
    ]
    return projects, stations, cameras


def text_of(names: dict[str, str], more: str = "") -> str:
    return f"""\
projects:
  {names["project"]}:
    train: {{}}
lines:
  {names["line"]}: {{description: first}}
cameras:
  {names["camera"]}:
    source: {{kind: push}}
    line: {names["line"]}
    project: {names["project"]}
{more}"""


def test_the_example_of_the_docs_is_applied_once(here: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OVEN_PASSWORD", "pa55/w@rd")
    dry = apply("-f", EXAMPLE, "--dry-run", "--json")
    assert dry.exit_code == 2, dry.output
    assert set(acts(dry).values()) == {"create"}
    assert here.s3.list_objects_v2(Bucket=here.values["VIGIA_BUCKET"])["KeyCount"] == 0
    done = apply("-f", EXAMPLE)
    assert done.exit_code == 0, done.output
    assert "pa55" not in done.output
    again = apply("-f", EXAMPLE, "--dry-run", "--json")
    assert again.exit_code == 0, again.output
    assert set(acts(again).values()) == {"none"}
    repeated = apply("-f", EXAMPLE)
    assert "done" not in repeated.output
    assert repeated.exit_code == 0
    stats = here.lookout.describe_dataset(ProjectName="cookies", DatasetType="train")["DatasetDescription"][
        "ImageStats"
    ]
    assert stats == {"Total": 63, "Labeled": 63, "Normal": 31, "Anomaly": 32}
    with Vigia.of(here.environment) as vigia:
        camera = vigia.camera("oven-2")
    assert camera["source"]["url"] == "rtsp://***@192.0.2.7/stream"

    # Another password cannot be seen before it is sent, and is then a change.
    monkeypatch.setenv("OVEN_PASSWORD", "another")
    dry = apply("-f", EXAMPLE, "--dry-run")
    assert (dry.exit_code, "only applying tells" in dry.output) == (0, True)
    assert "done: camera oven-2" in apply("-f", EXAMPLE).output
    with Vigia.of(here.environment) as vigia:
        assert vigia.camera("oven-2")["revision"] > camera["revision"]


def test_a_difference_is_shown_and_made(here: Installation, tmp_path: Path, names: dict[str, str]) -> None:
    assert apply("-f", file(tmp_path, text_of(names))).exit_code == 0
    changed = text_of(names, "    enabled: no\n    policy: {budget_seconds: 3}\n").replace("first", "second")
    dry = apply("-f", file(tmp_path, changed), "--dry-run")
    assert dry.exit_code == 2
    for text in ("description: first -> second", "enabled: true -> false", "policy.budget_seconds: 10.0 -> 3.0"):
        assert text in dry.output
    assert "0 to create, 2 to change, 0 to delete, 2 as declared" in dry.output
    before = state(here, names)
    assert before[1][0]["description"] == "first"
    assert apply("-f", tmp_path / "project.yaml").exit_code == 0
    _, [line], [camera] = state(here, names)
    assert (line["description"], camera["enabled"], camera["policy"]["budget_seconds"]) == ("second", False, 3.0)
    # What is not said any more has its default again.
    assert apply("-f", file(tmp_path, text_of(names))).exit_code == 0
    assert state(here, names)[2][0]["policy"]["budget_seconds"] == 10.0


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("    enable: yes\n", "project.yaml:11: cameras.{camera}.enable: unknown key"),
        ("  {camera}-2: {{source: {{kind: push}}, line: nowhere}}\n", "project.yaml:11: line nowhere is neither"),
        ("  {camera}-2: {{source: {{kind: push}}, project: no-such}}\n", "project.yaml:11: project no-such is neither"),
        (
            "---\nprojects:\n  {project}-2:\n    test: {{manifest: gone.manifest}}\n",
            "project.yaml:14: test: gone.manifest",
        ),
        ("---\nprojects:\n  {project}-2:\n    test: {{manifest: s3://{project}/x}}\n", "project.yaml:14: test: s3://"),
        ("---\nprojects:\n  {project}-2:\n    test: {{images: gone}}\n", "project.yaml:14: test: "),
    ],
)
def test_nothing_is_changed_where_anything_is_wrong(
    here: Installation, tmp_path: Path, names: dict[str, str], more: str, said: str
) -> None:
    path = file(tmp_path, text_of(names, more.format(**names)))
    with pytest.raises(ActionableError) as refused:
        apply("-f", path)
    assert said.format(**names) in str(refused.value)
    assert state(here, names) == ([], [], [])


def test_images_of_this_machine_become_a_dataset_and_more_are_added(
    here: Installation, tmp_path: Path, names: dict[str, str]
) -> None:
    files: dict[str, bytes | str] = {
        f"photos/{kind}/{n}.jpg": photo(hash(kind) % 1000 + n) for kind in ("normal", "anomaly") for n in range(3)
    }
    files["masks/0.png"] = mask(CRACK)
    old = "s3://the-old-bucket/x"
    listed = [entry(f"{old}/photos/normal/{n}.jpg", "normal") for n in range(3)]
    listed.append(entry(f"{old}/photos/anomaly/0.jpg", "anomaly", f"{old}/masks/0.png"))
    files["test.manifest"] = lines(listed)
    write(tmp_path, files)
    project = names["project"]
    path = file(
        tmp_path, f"projects:\n  {project}:\n    train: {{images: photos}}\n    test: {{manifest: test.manifest}}\n"
    )
    assert apply("-f", path).exit_code == 0

    def stats(kind: str) -> dict[str, int]:
        found = here.lookout.describe_dataset(ProjectName=project, DatasetType=kind)["DatasetDescription"]
        counts: dict[str, int] = found["ImageStats"]
        return counts

    assert stats("train") == {"Total": 6, "Labeled": 6, "Normal": 3, "Anomaly": 3}
    assert stats("test") == {"Total": 4, "Labeled": 4, "Normal": 3, "Anomaly": 1}
    write(tmp_path, {"photos/normal/new.png": photo(7777, kind="PNG")})
    dry = apply("-f", path, "--dry-run", "--json")
    assert acts(dry) == {
        f"project {project}": "none", f"dataset {project}/train": "change", f"dataset {project}/test": "none",
    }  # fmt: skip
    change = rows(dry)[f"dataset {project}/train"]
    assert change["differences"] == [{"field": "images", "old": 6, "new": 7}]
    assert change["note"] == "1 files to send"
    assert apply("-f", path).exit_code == 0
    assert stats("train")["Normal"] == 4
    # A picture of another size, an image twice: whoever declares a dataset means all of it.
    write(tmp_path, {"photos/normal/wide.jpg": photo(5, (96, 64)), "photos/anomaly/twin.png": photo(7777, kind="PNG")})
    with pytest.raises(ActionableError) as refused:
        apply("-f", path)
    assert "project.yaml:3: train: normal/wide.jpg: other_size" in str(refused.value)
    assert "duplicate" in str(refused.value)
    assert stats("train")["Total"] == 7


def test_a_manifest_in_the_store_becomes_a_dataset(here: Installation, tmp_path: Path, names: dict[str, str]) -> None:
    bucket, project = here.values["VIGIA_BUCKET"], names["project"]
    listed = [entry(f"s3://{bucket}/{n}.jpg", "normal") for n in range(3)]
    here.s3.put_object(Bucket=bucket, Key="a/train.manifest", Body=lines(listed[:2]))
    path = file(tmp_path, f"projects:\n  {project}:\n    train: {{manifest: s3://{bucket}/a/train.manifest}}\n")
    assert apply("-f", path).exit_code == 0
    assert apply("-f", path, "--dry-run").exit_code == 0
    here.s3.put_object(Bucket=bucket, Key="a/train.manifest", Body=lines(listed))
    assert "images: 2 -> 3" in apply("-f", path, "--dry-run").output
    assert apply("-f", path).exit_code == 0
    found = here.lookout.describe_dataset(ProjectName=project, DatasetType="train")["DatasetDescription"]
    assert (found["Status"], found["ImageStats"]["Total"]) == ("UPDATE_COMPLETE", 3)
    here.s3.put_object(Bucket=bucket, Key="a/train.manifest", Body=lines([*listed, "{}"]))
    with pytest.raises(ActionableError, match=r"a/train\.manifest:4: source-ref is missing"):
        apply("-f", path)


def test_an_import_that_fails_is_told_and_the_next_run_goes_on(
    here: Installation, tmp_path: Path, names: dict[str, str]
) -> None:
    bucket, project = here.values["VIGIA_BUCKET"], names["project"]
    # Two buckets in one manifest: only the service knows that this is not allowed.
    listed = [entry(f"s3://{bucket}/0.jpg", "normal"), entry("s3://another-bucket/1.jpg", "normal")]
    here.s3.put_object(Bucket=bucket, Key="m", Body=lines(listed))
    text = text_of(names).replace("train: {}", f"train: {{manifest: s3://{bucket}/m}}")
    done = apply("-f", file(tmp_path, text), "--json")
    assert done.exit_code == 1
    outcomes = {name: (row["outcome"], row["reason"]) for name, row in rows(done).items()}
    assert outcomes[f"dataset {project}/train"][0] == "failed"
    assert "all images must be in one bucket" in outcomes[f"dataset {project}/train"][1]
    # Nothing else depends on it.
    assert outcomes[f"camera {names['camera']}"] == ("done", "")
    here.s3.put_object(Bucket=bucket, Key="m", Body=lines(listed[:1]))
    again = apply("-f", tmp_path / "project.yaml", "--json")
    assert again.exit_code == 0, again.output
    assert {name for name, row in rows(again).items() if row["outcome"] == "done"} == {f"dataset {project}/train"}
    assert "made again" in rows(again)[f"dataset {project}/train"]["note"]


def test_only_what_is_to_be_pruned_is_deleted(here: Installation, tmp_path: Path, names: dict[str, str]) -> None:
    line, camera, project = names["line"], names["camera"], names["project"]
    other = f"  {line}-2: {{}}\n"
    text = text_of(names).replace("cameras:\n", other + "cameras:\n") + (
        f"  {camera}-2: {{source: {{kind: push}}, line: {line}}}\n"
        f"  {camera}-3: {{source: {{kind: push}}, line: {line}-2}}\n"
    )
    text = text.replace("    train: {}\n", "    train: {}\n    test: {}\n")
    assert apply("-f", file(tmp_path, text)).exit_code == 0
    path = file(tmp_path, text_of(names))
    assert set(acts(apply("-f", path, "--dry-run", "--json")).values()) == {"none"}
    assert apply("-f", path).exit_code == 0
    assert len(state(here, names)[2]) == 3

    pruned = apply("-f", path, "--prune", f"cameras/{line}", "--json")
    assert [name for name, act in acts(pruned).items() if act == "delete"] == [f"camera {camera}-2"]
    assert [c["camera_id"] for c in state(here, names)[2]] == [camera, f"{camera}-3"]
    pruned = apply("-f", path, "--prune", "datasets", "--json")
    assert [name for name, act in acts(pruned).items() if act == "delete"] == [f"dataset {project}/test"]
    assert len(here.lookout.describe_project(ProjectName=project)["ProjectDescription"]["Datasets"]) == 1
    assert apply("-f", path, "--prune", "everything").exit_code == 2
    assert apply("-f", path, "--prune", "lines/x").exit_code == 2


def test_a_project_goes_with_its_datasets_and_never_with_a_model(
    door: DoorStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against answers told by heart: pruning projects would take those of the other tests too."""
    projects = "/2020-11-20/projects"
    empty = (200, {"items": [], "next": None})
    described = {"DatasetDescription": {"Status": "CREATE_COMPLETE", "ImageStats": {"Total": 3}}}
    missing = (404, {"Message": "no", "__type": "ResourceNotFoundException"})
    door.answers = {
        "GET /api/v1/lines": empty,
        "GET /api/v1/cameras": empty,
        f"GET {projects}": (200, {"Projects": [{"ProjectName": "old"}]}),
        f"GET {projects}/old/models": (200, {"Models": []}),
        f"GET {projects}/old/datasets/train": [(200, described), (200, described)],
        f"GET {projects}/old/datasets/test": missing,
        f"DELETE {projects}/old": (200, {"ProjectArn": "arn"}),
    }
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", door.url)
    path = file(tmp_path, "lines: {}\n")
    dry = apply("-f", path, "--prune", "projects", "--dry-run", "--json")
    assert acts(dry) == {"dataset old/train": "delete", "project old": "delete"}
    door.answers[f"GET {projects}/old/models"] = (200, {"Models": [{"ModelVersion": "1"}]})
    with pytest.raises(ActionableError, match="project old has model versions"):
        apply("-f", path, "--prune", "projects")
    assert not any(asked.method == "DELETE" for asked in door.asked)


def test_an_old_template_makes_its_projects(here: Installation, tmp_path: Path, names: dict[str, str]) -> None:
    template = f"""\
Parameters:
  Name: {{Type: String}}
Resources:
  Project:
    Type: AWS::LookoutVision::Project
    Properties:
      ProjectName: !Sub "${{Name}}-{names["project"]}"
  Bucket: {{Type: AWS::S3::Bucket}}
"""
    done = apply("-f", file(tmp_path, template), "--parameter", "Name=press")
    assert done.exit_code == 0, done.output
    assert "Bucket of type AWS::S3::Bucket is left alone" in done.output
    assert [p["ProjectName"] for p in state(here, names)[0]] == [f"press-{names['project']}"]
    again = apply("-f", tmp_path / "project.yaml", "--parameter", "Name=press", "--dry-run")
    assert again.exit_code == 0


def test_a_template_makes_projects_of_custom_labels(here: Installation, tmp_path: Path, names: dict[str, str]) -> None:
    name = f"rooms.{names['project']}"
    template = {
        "Resources": {
            "Rooms": {"Type": "AWS::Rekognition::Project", "Properties": {"ProjectName": name}},
            "Press": {"Type": "AWS::LookoutVision::Project", "Properties": {"ProjectName": names["project"]}},
            "Stream": {"Type": "AWS::Rekognition::StreamProcessor"},
        }
    }
    done = apply("-f", file(tmp_path, json.dumps(template)))
    assert done.exit_code == 0, done.output
    assert f"done: label project {name}" in done.output
    assert "Stream of type AWS::Rekognition::StreamProcessor is left alone" in done.output
    client = rekognition(here.environment)
    [found] = client.describe_projects(ProjectNames=[name])["ProjectDescriptions"]
    assert found["Status"] == "CREATED"
    assert "2 as declared" in apply("-f", tmp_path / "project.yaml", "--dry-run").output
    # The same in a file of Vigia's own; such a project has a name and nothing else.
    assert "1 as declared" in apply("-f", file(tmp_path, f"label_projects:\n  {name}:\n"), "--dry-run").output
    with pytest.raises(ActionableError, match=r"project\.yaml:2: label_projects: .* is no name"):
        apply("-f", file(tmp_path, "label_projects:\n  two words:\n"), "--dry-run")
    with pytest.raises(ActionableError, match="unknown key"):
        apply("-f", file(tmp_path, f"label_projects:\n  {name}: {{train: {{}}}}\n"), "--dry-run")


DOCUMENT = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "lookoutvision:*", "Resource": "*"}]}


def test_an_installation_without_users_says_so(door: DoorStub, tmp_path: Path) -> None:
    empty = (200, {"items": [], "next": None})
    door.answers = {"GET /api/v1/lines": empty, "GET /api/v1/cameras": empty}
    with pytest.raises(ActionableError, match=r"project\.yaml:2: users: ana: this installation manages no users"):
        apply("-f", file(tmp_path, "users:\n  ana: {policies: [look]}\n"))
    assert {asked.method for asked in door.asked} == {"GET"}


def test_users_roles_and_policies_are_made_once(here: Installation, tmp_path: Path, names: dict[str, str]) -> None:
    with Vigia.of(here.environment) as vigia:
        try:
            next(vigia.accesses("policies"), None)
        except ApiError:
            pytest.skip("this registry does not answer /api/v1/iam")
    word = names["project"]
    text = f"""\
users:
  u-{word}: {{policies: [look-{word}, "arn:aws:iam::aws:policy/AmazonLookoutVisionReadOnlyAccess"]}}
roles:
  r-{word}: {{policies: [look-{word}], trust: ["111122223333"], inline: {{own: {json.dumps(DOCUMENT)}}}}}
policies:
  look-{word}: {{description: all of it, document: {json.dumps(DOCUMENT)}}}
"""
    path = file(tmp_path, text)
    done = apply("-f", path, "--json")
    assert done.exit_code == 0, done.output
    assert {row["outcome"] for row in rows(done).values()} == {"done"}
    again = apply("-f", path, "--json", "--dry-run")
    assert again.exit_code == 0, again.output
    path.write_text(text.replace('"lookoutvision:*"', '"lookoutvision:DetectAnomalies"'))
    changed = apply("-f", path, "--json", "--dry-run")
    assert acts(changed) == {f"policy look-{word}": "change", f"role r-{word}": "change", f"user u-{word}": "none"}


@pytest.fixture
def account(here: Installation, monkeypatch: pytest.MonkeyPatch) -> Vigia:
    """A new account, asked as its user ``admin``: whoever prunes users takes those of others too."""
    with Vigia.of(here.environment) as vigia:
        key = vigia.add_account(f"{uuid.uuid4().int % 10**12:012d}")["access_key"]
    values = {"AWS_ACCESS_KEY_ID": key["access_key_id"], "AWS_SECRET_ACCESS_KEY": key["secret_access_key"]}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return Vigia.of(Environment({**here.values, **values}, "test"))


def held(vigia: Vigia, kind: str) -> list[str]:
    return [row["name"] for row in vigia.accesses(kind) if not row.get("managed")]


ACCESS = f"""\
users:
  ana: {{policies: [look]}}
roles:
  shift: {{policies: [operator], trust: ["111122223333"]}}
policies:
  look: {{document: {json.dumps(DOCUMENT)}}}
"""


def test_users_roles_and_policies_are_pruned_but_never_who_asks(account: Vigia, tmp_path: Path) -> None:
    path = file(tmp_path, ACCESS)
    assert apply("-f", path).exit_code == 0
    for name in ("old", "older"):
        account.put_access("policies", name, {"document": DOCUMENT})
    account.put_access("users", "bob", {"policies": ["old"]})
    account.put_access("users", "cy", {"policies": ["AdministratorAccess"]})
    account.put_access("roles", "night", {"trust": ["111122223333"]})
    account.put_access("users", "ana", {"policies": ["look", "older"]})
    assert apply("-f", path, "--dry-run").exit_code == 2  # ana has another policy: and nothing else is due
    scopes = ["--prune", "policies", "--prune", "users", "--prune", "roles"]
    dry = apply("-f", path, *scopes, "--dry-run", "--json")
    assert {name: act for name, act in acts(dry).items() if act != "none"} == {
        "user ana": "change",
        "user bob": "delete",
        "user cy": "delete",
        "role night": "delete",
        "policy old": "delete",
        "policy older": "delete",
    }
    assert rows(dry)["user admin"]["note"] == "not declared, and kept: it is who asks"
    assert held(account, "users") == ["admin", "ana", "bob", "cy"]
    done = apply("-f", path, *scopes)
    assert done.exit_code == 0, done.output
    assert [held(account, kind) for kind in ("users", "roles", "policies")] == [["admin", "ana"], ["shift"], ["look"]]
    assert apply("-f", path, *scopes, "--dry-run").exit_code == 0


def test_policies_of_what_stays_are_not_pruned(account: Vigia, tmp_path: Path) -> None:
    path = file(tmp_path, ACCESS)
    assert apply("-f", path).exit_code == 0
    account.put_access("policies", "old", {"document": DOCUMENT})
    account.put_access("users", "bob", {"policies": ["old"]})
    dry = apply("-f", path, "--prune", "policies", "--dry-run", "--json")
    assert dry.exit_code == 0, dry.output
    assert rows(dry)["policy old"]["note"] == "not declared, and kept: user bob has it"


def test_a_role_prunes_neither_itself_nor_the_last_administrator(
    account: Vigia, here: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = file(tmp_path, ACCESS)
    assert apply("-f", path).exit_code == 0
    account.put_access("users", "bob", {"policies": ["AdministratorAccess"]})  # without a key
    account.put_access("roles", "ops", {"policies": ["AdministratorAccess"], "trust": [account_of(account)]})
    client = sts(Environment(dict(os.environ), "test"))
    arn = f"arn:aws:iam::{account_of(account)}:role/ops"
    taken = client.assume_role(RoleArn=arn, RoleSessionName="s1")["Credentials"]
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AccessKeyId", "AWS_SECRET_ACCESS_KEY": "SecretAccessKey",
        "AWS_SESSION_TOKEN": "SessionToken",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, taken[value])
    dry = apply("-f", path, "--prune", "users", "--prune", "roles", "--dry-run", "--json")
    told = {name: (row["act"], row["note"]) for name, row in rows(dry).items() if row["act"] == "delete" or row["note"]}
    assert told == {
        "user admin": ("none", "not declared, and kept: nobody else could manage users and policies"),
        "user bob": ("delete", ""),
        "role ops": ("none", "not declared, and kept: it is who asks"),
    }


def account_of(vigia: Vigia) -> str:
    return str(vigia.access("users", "admin")["arn"].split(":")[4])  # type: ignore[index]


def test_only_kinds_that_are_declared_are_pruned(here: Installation, tmp_path: Path, names: dict[str, str]) -> None:
    """A file without users does not mean that there should be none."""
    path = file(tmp_path, text_of(names))
    for kind in ("users", "roles", "policies"):
        refused = apply("-f", path, "--prune", kind)
        assert refused.exit_code == 2
        assert f"no {kind} are declared" in refused.output
    assert apply("-f", path, "--prune", "users/ana").exit_code == 2


def test_who_may_do_what_is_compared_without_order(door: DoorStub, tmp_path: Path) -> None:
    """Against answers told by heart, in the shapes that ``/api/v1/iam`` has."""
    empty = (200, {"items": [], "next": None})
    door.answers = {
        "GET /api/v1/lines": empty,
        "GET /api/v1/cameras": empty,
        "GET /api/v1/iam/policies": empty,
        "GET /api/v1/iam/policies/look": (200, {"name": "look", "description": "", "document": DOCUMENT, "arn": "x"}),
        "GET /api/v1/iam/users/ana": (200, {"name": "ana", "policies": ["look", "b"], "inline": {}}),
        "PUT /api/v1/iam/users/bob": (200, {}),
    }
    text = f"""\
policies:
  look:
    document:
      Version: 2012-10-17
      Statement: [{{Effect: Allow, Action: "lookoutvision:*", Resource: "*"}}]
users:
  ana: {{policies: [b, look]}}
  bob: {{policies: [look], inline: {{own: {json.dumps(DOCUMENT)}}}}}
"""
    done = apply("-f", file(tmp_path, text), "--json")
    assert done.exit_code == 0, done.output
    assert acts(done) == {"policy look": "none", "user ana": "none", "user bob": "create"}
    [put] = [asked for asked in door.asked if asked.method == "PUT"]
    assert json.loads(put.body) == {"policies": ["look"], "inline": {"own": DOCUMENT}}


def test_what_needs_a_failed_thing_is_not_tried() -> None:
    def fail() -> bool:
        raise ActionableError("wrong with s3cret")

    changes = [
        Change("project", "a", Act.CREATE, make=fail),
        Change("dataset", "a/train", Act.CREATE, needs=(("project", "a"),), make=lambda: True),
        Change("camera", "c", Act.CREATE, needs=(("project", "a"), ("line", "l")), make=lambda: True),
        Change("camera", "d", Act.CHANGE, needs=(("line", "l"),), make=lambda: True),
        Change("line", "m", Act.NONE),
        Change("line", "n", Act.CHANGE, make=lambda: False),
    ]
    results = make_all(changes, lambda text: text.replace("s3cret", "***"), lambda _: None)
    assert [(result.outcome, result.reason) for result in results] == [
        (Outcome.FAILED, "wrong with ***"),
        (Outcome.NOT_TRIED, "needs project a"),
        (Outcome.NOT_TRIED, "needs project a"),
        (Outcome.DONE, ""),
        (Outcome.UNCHANGED, ""),
        (Outcome.UNCHANGED, ""),
    ]


def test_differences_go_down_to_the_field() -> None:
    old = {"a": 1, "b": {"c": 1, "d": [1, 2]}, "e": {"f": 1}}
    new = {"a": 1, "b": {"c": 2, "d": [2, 1]}, "g": None, "e": 3}
    assert list(differences(old, new)) == [("b.c", 1, 2), ("b.d", [1, 2], [2, 1]), ("e", {"f": 1}, 3)]
