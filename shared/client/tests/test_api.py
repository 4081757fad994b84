"""The API client: what it signs is what the services verify, pages are followed, refusals are told."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import pytest

from vigia_client.api import ApiError, Vigia
from vigia_client.environment import Environment, NotConfiguredError, find, parse
from vigia_runtime.sigv4 import Credential, SignatureError, SignedRequest, verify

from .conftest import KEY, SECRET, Asked, DoorStub


async def credential(access_key_id: str) -> Credential | None:
    return Credential(
        access_key_id=access_key_id,
        secret_access_key=SECRET,
        session_token=None,
        account_id="1",
        principal_arn="arn:aws:iam::1:root",
        policies=(),
    )


async def signer_of(asked: Asked, body: bytes | None = None) -> str:
    request = SignedRequest(
        method=asked.method,
        path=asked.path,
        query=asked.query,
        headers=[(name.lower(), value) for name, value in asked.headers],
        body=asked.body if body is None else body,
    )
    return (await verify(request, credential, datetime.now(UTC), service="vigia")).access_key_id


async def test_every_kind_of_request_is_signed_as_the_services_verify(door: DoorStub) -> None:
    empty = (200, {"items": [], "next": None, "points": [], "frame_id": "f1"})
    door.answers = {
        "GET /api/v1/inspections": empty,
        "GET /api/v1/cameras": empty,
        "PUT /api/v1/cameras/caf%C3%A9%2F1": empty,
        "DELETE /api/v1/lines/l%201": (204, None),
        "POST /api/v1/frames/c1": empty,
    }
    with Vigia.of() as vigia:
        list(vigia.inspections(line="a b", from_="2026-01-01T00:00:00+01:00", verdict="REJECT"))
        list(vigia.cameras())
        vigia.put_camera("café/1", {"kind": "push"}, line_id="l1", project=None)
        vigia.remove_line("l 1")
        assert vigia.push("c1", b"\x89PNG...", part_id="P 1", frame_id="f1") == "f1"
    assert [await signer_of(asked) for asked in door.asked] == [KEY] * 5
    with pytest.raises(SignatureError):
        await signer_of(door.asked[2], b"another body")
    assert "limit=200" in door.asked[0].query
    assert b"project" not in door.asked[2].body
    assert ("content-type", "image/png") in [(name.lower(), value) for name, value in door.asked[4].headers]


def test_pages_are_followed_to_the_end(door: DoorStub) -> None:
    door.answers["GET /api/v1/lines"] = [
        (200, {"items": [{"line_id": "a"}, {"line_id": "b"}], "next": "n1"}),
        (200, {"items": [{"line_id": "c"}], "next": None}),
    ]
    with Vigia.of() as vigia:
        assert [line["line_id"] for line in vigia.lines()] == ["a", "b", "c"]
    assert "cursor=n1" in door.asked[1].query


def test_following_goes_on_where_it_was(door: DoorStub) -> None:
    door.answers["GET /api/v1/inspections"] = [
        (200, {"items": [], "next": "p1"}),
        (200, {"items": [{"n": 1}, {"n": 2}], "next": "p2"}),
        (200, {"items": [{"n": 3}], "next": "p3"}),
    ]
    with Vigia.of() as vigia:
        assert list(islice(vigia.follow(camera="c1"), 3)) == [{"n": 1}, {"n": 2}, {"n": 3}]
        assert list(vigia.follow("p3", seconds=0)) == []
    assert ["after=" + place in asked.query for place, asked in zip(("now", "p1", "p2"), door.asked, strict=True)] == [
        True
    ] * 3


def test_a_refusal_says_what_and_where(door: DoorStub) -> None:
    rows = [{"where": "body.line_id", "message": "too long"}]
    told = {"code": "invalid_input", "detail": "breaks its schema", "details": {"problems": rows}}
    door.answers["POST /api/v1/lines"] = (400, told)
    with Vigia.of() as vigia:
        with pytest.raises(ApiError, match=r"breaks its schema \(body.line_id: too long\)") as refused:
            vigia.add_line("x")
        with pytest.raises(ApiError) as missing:
            vigia.camera("nobody")
    assert (refused.value.status, refused.value.code) == (400, "invalid_input")
    assert (missing.value.status, missing.value.code) == (404, "not_found")


def test_client_env_is_found_above_and_read_as_a_shell_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VIGIA_URL", raising=False)
    monkeypatch.setenv("VIGIA_KAFKA", "elsewhere:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of another cloud")
    (tmp_path / ".vigia").mkdir()
    file = tmp_path / ".vigia" / "client.env"
    file.write_text("# addresses\nVIGIA_URL=http://h:1\nexport VIGIA_KAFKA=h:2\nAWS_ACCESS_KEY_ID='a b'\n")
    below = tmp_path / "x" / "y"
    below.mkdir(parents=True)
    found = find(below)
    assert found.origin == str(file)
    assert (found.need("VIGIA_URL"), found.need("VIGIA_KAFKA")) == ("http://h:1", "elsewhere:1")
    assert found.need("AWS_ACCESS_KEY_ID") == "a b"
    with pytest.raises(NotConfiguredError, match="VIGIA_POSTGRES"):
        found.need("VIGIA_POSTGRES")


def test_what_is_not_an_assignment_is_left_out() -> None:
    assert parse("A=1\n\n  # x\necho hello\nB='it'\"'\"'s'\n") == {"A": "1", "B": "it's"}
    assert Environment({"A": ""}, "here").get("A") is None
