"""What files say: lines of mistakes, references to secrets, old templates. No installation is asked."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from vigia_client.provisioning.documents import FileError, read_documents
from vigia_client.provisioning.secrets import SecretError, resolve, shown
from vigia_client.provisioning.spec import Spec, read_files
from vigia_contracts.cameras import RtspSource
from vigia_runtime.redaction import redact_url

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=12,
)


def read(tmp_path: Path, text: str, parameters: dict[str, str] | None = None, **environment: str) -> Spec:
    file = tmp_path / "project.yaml"
    file.write_text(text)
    return read_files([file], environment, parameters or {}, "eu-west-1")


def url(spec: Spec) -> str:
    source = spec.cameras["c"].value.source
    assert isinstance(source, RtspSource)
    return source.url


def wrong(tmp_path: Path, text: str, **environment: str) -> list[tuple[int, str]]:
    """Line and text of every problem."""
    with pytest.raises(FileError) as refused:
        read(tmp_path, text, **environment)
    assert all(problem.file == str(tmp_path / "project.yaml") for problem in refused.value.problems)
    return [(problem.line, problem.text) for problem in refused.value.problems]


@given(VALUES.filter(lambda value: value is not None))
@example("no")
@example("2012-10-17")
@example(["12:30", "0777", "1_000", "=", "<<"])
def test_what_is_written_as_yaml_or_json_is_read_as_it_was(value: Any) -> None:
    for ascii_only in (True, False):
        [as_json] = read_documents(json.dumps(value, indent="\t", ensure_ascii=ascii_only), "x")
        assert as_json.value == value
    [as_yaml] = read_documents(yaml.safe_dump(value, allow_unicode=True), "x")
    assert as_yaml.value == value


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda data: data.decode("latin-1")))
@example("a: &x [*x]")
@example("[" * 5000)
@example("? [1, 2]\n: 3")
@example("<<: {a: 1}")
@example("a: !!python/object:os.system x")
@example("&a [*a, *a]")
@example("'\ud800'")
def test_whatever_a_file_holds_is_read_or_refused_with_a_line(text: str) -> None:
    with contextlib.suppress(FileError):
        for document in read_documents(text, "x"):
            assert document.line(()) >= 1


def test_aliases_do_not_unfold_without_end() -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    with pytest.raises(FileError, match="too many values"):
        list(read_documents(bomb, "x"))


def test_mistakes_are_named_with_their_line(tmp_path: Path) -> None:
    text = """\
projects:
  cookies:
    train:
      manifst: s3://b/k
  "a b": {}
line: {}
cameras:
  oven-1:
    source: {kind: rtsp, url: http://h, transprt: udp}
    lin: oven
  oven-2:
    source:
      kind: push
      path: x
    policy:
      budget: 3
  oven-3: {}
  oven-4:
    source: {kind: telepathy}
lines: [oven]
"""
    found = wrong(tmp_path, text)
    assert [line for line, _ in found] == [4, 5, 6, 9, 10, 14, 16, 17, 19, 20]
    for (_, said), part in zip(
        found,
        (
            "manifst: unknown key",
            "'a b' is no name",
            "unknown key line",
            "cameras.oven-1.source",
            "lin: unknown key",
            "source.path: unknown key",
            "policy.budget: unknown key",
            "source: Field required",
            "telepathy",
            "not a mapping",
        ),
        strict=True,
    ):
        assert part in said


def test_a_name_is_declared_once_in_all_documents(tmp_path: Path) -> None:
    assert wrong(tmp_path, "lines: {a: }\n---\nlines:\n  b: {}\n  a: {}\n") == [
        (5, f"lines: a is declared already, in {tmp_path / 'project.yaml'}:1")
    ]
    assert wrong(tmp_path, "lines:\n  a: {}\n  a: {}\n") == [(3, "a is here twice")]
    assert wrong(tmp_path, "- x\n")[0][0] == 1
    assert set(read(tmp_path, "lines: {a: }\n---\n\n---\nlines: {b: }\n").lines) == {"a", "b"}


def test_a_camera_has_the_defaults_that_the_service_has(tmp_path: Path) -> None:
    spec = read(tmp_path, "cameras:\n  12:\n    source: {kind: push}\n    model_version: 3\n    enabled: no\n")
    camera = spec.cameras["12"].value
    assert (camera.model_version, camera.enabled, camera.policy.budget_seconds) == ("3", False, 10.0)


def test_secrets_come_from_elsewhere_and_are_hidden(tmp_path: Path) -> None:
    (tmp_path / "whole").write_text("rtsp://u:p%40ss@h/live?token=t0k\n")
    camera = "cameras:\n  c:\n    source:\n      kind: rtsp\n      url: "
    spec = read(tmp_path, camera + "rtsp://viewer:${PASSWORD}@h/live", PASSWORD="p@ss/w:rd")
    assert url(spec) == "rtsp://viewer:p%40ss%2Fw%3Ard@h/live"
    assert spec.hide("sent p@ss/w:rd as p%40ss%2Fw%3Ard") == "sent *** as ***"
    whole = read(tmp_path, camera + "${file:whole}")
    assert url(whole) == "rtsp://u:p%40ss@h/live?token=t0k"
    for address, said in (
        ("rtsp://viewer:hunter2@h/live", "a password is written"),
        ("rtsp://${USER_NAME}:hunter2@h/live", "a password is written"),
        ("rtsp://viewer:${NOBODY}@h/live", "NOBODY is not set"),
        ("rtsp://viewer:${file:nowhere}@h/live", "file nowhere cannot be read"),
        ("${file:whole}x", "String should match"),
    ):
        [(line, text)] = wrong(tmp_path, camera + address, USER_NAME="u")
        assert line == 5
        assert said in text
        assert "hunter2" not in text
        assert "t0k" not in text


@given(st.text(st.sampled_from("ab:/@?#=*."), max_size=20).map("rtsp://".__add__) | st.text(max_size=30))
def test_an_address_is_shown_as_an_installation_shows_it(address: str) -> None:
    assert shown(address) == redact_url(address)


@given(TEXT.filter(bool))
def test_a_secret_may_have_any_characters(secret: str) -> None:
    address, hidden = resolve("rtsp://u:${S}@h:554/x", Path(), {"S": secret})
    assert address.count("@") == 1
    assert address.endswith("@h:554/x")
    assert secret in hidden
    with pytest.raises(SecretError):
        resolve("rtsp://u:${S}@h", Path(), {})


TEMPLATE = """\
AWSTemplateFormatVersion: "2010-09-09"
Parameters:
  Stage: {Type: String, Default: dev}
  Line: {Type: String}
Resources:
  Plain:
    Type: AWS::LookoutVision::Project
    Properties: {ProjectName: plain}
  Referred:
    Type: AWS::LookoutVision::Project
    DeletionPolicy: Retain
    Properties:
      ProjectName: !Ref Line
  Composed:
    Type: "AWS::LookoutVision::Project"
    Properties:
      ProjectName: !Sub "${Stage}-${Line}-${AWS::Region}"
  Joined:
    Type: AWS::LookoutVision::Project
    Properties:
      ProjectName: !Join ["-", [boards, !Ref Stage]]
  Bucket:
    Type: AWS::S3::Bucket
Outputs:
  Arn: {Value: !GetAtt Plain.Arn}
"""


def test_an_old_template_names_its_projects(tmp_path: Path) -> None:
    spec = read(tmp_path, TEMPLATE, {"Line": "oven", "Other": "x"})
    assert sorted(spec.projects) == ["boards-dev", "dev-oven-eu-west-1", "oven", "plain"]
    assert [(problem.line, problem.text) for problem in spec.left] == [
        (22, "Bucket of type AWS::S3::Bucket is left alone: only projects are made")
    ]
    long = {
        "Resources": {
            "A": {"Type": "AWS::LookoutVision::Project", "Properties": {"ProjectName": {"Fn::Sub": "a-${AWS::Region}"}}}
        }
    }
    assert sorted(read(tmp_path, json.dumps(long, indent="\t")).projects) == ["a-eu-west-1"]


def test_what_a_template_says_that_cannot_be_followed_is_refused(tmp_path: Path) -> None:
    assert wrong(tmp_path, TEMPLATE) == [
        (13, "Referred: ProjectName: Line has no value; give it with --parameter Line=VALUE"),
        (17, "Composed: ProjectName: Line has no value; give it with --parameter Line=VALUE"),
    ]
    head = "Resources:\n  A:\n    Type: AWS::LookoutVision::Project\n"
    for rest, line, said in (
        ("    Properties: {}\n", 2, "ProjectName is missing"),
        ("    Properties: {ProjectName: a, Colour: red}\n", 4, "unknown property Colour"),
        ("    Condition: IsProd\n    Properties: {ProjectName: a}\n", 4, "Condition is not understood"),
        ("    Properties:\n      ProjectName: !ImportValue x\n", 5, "Fn::ImportValue is not understood"),
        ("    Properties: {ProjectName: -a}\n", 2, "is no name"),
    ):
        [(at, text)] = wrong(tmp_path, head + rest)
        assert (at, said in text) == (line, True), text
