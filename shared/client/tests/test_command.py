"""The `vigia` command: what a person types and sees."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from PIL import Image
from typer.testing import CliRunner

from vigia_client import checks
from vigia_client.cli import app
from vigia_client.environment import find
from vigia_client.frames import TooLargeError, publish
from vigia_contracts.events import Event, decode
from vigia_contracts.frames import MAX_INLINE_BYTES
from vigia_contracts.topics import FRAMES
from vigia_runtime.kafka.topics import ensure_topics
from vigia_runtime.settings import KafkaSettings

from .accounts import Account, serving
from .conftest import DoorStub

INSPECTION = {
    "captured_at": "2026-01-02T03:04:05.678Z",
    "decided_at": "2026-01-02T03:04:05.728Z",
    "camera_id": "oven-1",
    "part_id": "P-1",
    "verdict": "REJECT",
    "score": 0.91234,
    "threshold": 0.5,
    "labels": [{"name": "cracked", "area": 0.0181, "color": "#23A436"}],
}


def vigia(*arguments: str) -> str:
    done = CliRunner(env={"COLUMNS": "200"}).invoke(app, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_cameras_are_added_listed_and_switched(door: DoorStub) -> None:
    shown = {
        "camera_id": "oven-1",
        "line_id": "demo",
        "project": "cookies",
        "enabled": True,
        "source": {"kind": "rtsp", "url": "rtsp://***@h/line"},
        "policy": {"overload": "newest"},
    }
    door.answers = {
        "PUT /api/v1/cameras/oven-1": (201, shown),
        "GET /api/v1/cameras": (200, {"items": [shown], "next": None}),
        "POST /api/v1/cameras/oven-1/disable": (200, shown),
        "DELETE /api/v1/cameras/oven-1": (204, None),
    }
    options = ("--line", "demo", "--project", "cookies", "--fps", "1", "--overload", "every")
    assert "created" in vigia("cameras", "add", "oven-1", "--rtsp", "rtsp://u:p@h/line", *options)
    assert json.loads(door.asked[1].body) == {
        "source": {"kind": "rtsp", "url": "rtsp://u:p@h/line"},
        "line_id": "demo",
        "project": "cookies",
        "enabled": True,
        "policy": {"overload": "every", "frames_per_second": 1.0},
    }
    table = vigia("cameras", "list")
    assert "oven-1" in table
    assert "rtsp://***@h/line" in table
    assert json.loads(vigia("cameras", "list", "--json")) == shown
    assert "disabled" in vigia("cameras", "disable", "oven-1")
    assert "deleted" in vigia("cameras", "rm", "oven-1")


def test_a_document_that_says_something_twice_is_not_sent(door: DoorStub, tmp_path: Path) -> None:
    """JSON keeps the last and forgets the first: of two conditions one would be lost without a word."""
    file = tmp_path / "policy.json"
    file.write_text(
        '{"Statement": {"Effect": "Deny", "Action": "*", "Resource": "*",'
        ' "Condition": {"StringEquals": {"aws:ResourceTag/a": "1"}, "StringEquals": {"aws:ResourceTag/b": "2"}}}}'
    )
    done = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["iam", "policies", "put", "twice", str(file)])
    assert done.exit_code == 2
    assert "StringEquals is there twice" in done.output
    assert door.asked == []


def test_a_camera_has_exactly_one_source() -> None:
    for sources in ([], ["--push", "--synthetic"]):
        assert CliRunner().invoke(app, ["cameras", "add", "c1", *sources]).exit_code == 2


def test_the_audit_shows_who_called_what_on_what(door: DoorStub) -> None:
    call = {
        "called_at": "2026-01-02T03:04:05.678Z",
        "name": "DeleteModel",
        "username": "ana",
        "outcome": "client_error",
        "error_code": "ConflictException",
        "duration_ms": 12.4,
        "record": {
            "sourceIPAddress": "10.0.0.7",
            "requestParameters": {"projectName": "cookies", "modelVersion": "2"},
        },
    }
    door.answers["GET /api/v1/audit"] = (200, {"items": [call], "next": None})
    row = vigia("audit", "--user", "ana", "--changes", "--resource", "cookies/2", "--outcome", "client_error")
    for text in ("DeleteModel", "ana", "cookies/2", "ConflictException", "10.0.0.7", "12 ms"):
        assert text in row
    for asked in ("user=ana", "read_only=false", "resource=cookies%2F2", "outcome=client_error", "limit=50"):
        assert asked in door.asked[0].query
    assert json.loads(vigia("audit", "--json")) == call


USER = {
    "name": "ana",
    "policies": ["operator"],
    "inline": {"mine": {}},
    "created_at": "2026-01-02T03:04:05Z",
}
NEW_KEY = {"access_key_id": "AKIANEW", "secret_access_key": "told/once", "status": "Active"}


def test_users_and_their_keys(door: DoorStub, tmp_path: Path) -> None:
    key = NEW_KEY | {"created_at": USER["created_at"], "last_used_at": None, "last_used_service": None}
    door.answers = {
        "PUT /api/v1/iam/users/ana": (201, USER),
        "GET /api/v1/iam/users": (200, {"items": [USER], "next": None}),
        "GET /api/v1/iam/users/ana": (200, USER),
        "POST /api/v1/iam/users/ana/access-keys": (201, NEW_KEY),
        "GET /api/v1/iam/users/ana/access-keys": (200, {"items": [key], "next": None}),
        "PATCH /api/v1/iam/users/ana/access-keys/AKIANEW": (200, key),
        "DELETE /api/v1/iam/users/ana/access-keys/AKIANEW": (204, None),
        "DELETE /api/v1/iam/users/ana": (204, None),
    }
    file = tmp_path / "mine.json"
    file.write_text('{"Statement": []}')
    said = vigia("iam", "users", "put", "ana", "--policy", "operator", "--policy", "p2", "--inline", f"mine={file}")
    assert "operator, p2, mine" in said
    assert json.loads(door.asked[-1].body) == {"policies": ["operator", "p2"], "inline": {"mine": {"Statement": []}}}
    assert "ana" in vigia("iam", "users", "list")
    assert json.loads(vigia("iam", "users", "show", "ana")) == USER
    assert vigia("iam", "keys", "add", "ana") == "AWS_ACCESS_KEY_ID=AKIANEW\nAWS_SECRET_ACCESS_KEY=told/once\n"
    assert "never" in vigia("iam", "keys", "list", "ana")
    assert "inactive" in vigia("iam", "keys", "disable", "ana", "AKIANEW")
    assert json.loads(door.asked[-1].body) == {"status": "Inactive"}
    vigia("iam", "keys", "enable", "ana", "AKIANEW")
    assert json.loads(door.asked[-1].body) == {"status": "Active"}
    assert "deleted" in vigia("iam", "keys", "delete", "ana", "AKIANEW")
    assert "deleted" in vigia("iam", "users", "delete", "ana")


def test_policies_and_roles(door: DoorStub, tmp_path: Path) -> None:
    policy = {"name": "mine", "managed": False, "description": "of mine", "document": {"Statement": []}}
    role = USER | {"name": "shift", "arn": "arn:aws:iam::1:role/shift", "trust": ["222233334444"]}
    door.answers = {
        "PUT /api/v1/iam/policies/mine": (201, policy),
        "GET /api/v1/iam/policies": (200, {"items": [policy], "next": None}),
        "GET /api/v1/iam/policies/mine": (200, policy),
        "DELETE /api/v1/iam/policies/mine": (204, None),
        "PUT /api/v1/iam/roles/shift": (201, role),
        "GET /api/v1/iam/roles": (200, {"items": [role], "next": None}),
        "GET /api/v1/iam/roles/shift": (200, role),
        "DELETE /api/v1/iam/roles/shift": (204, None),
    }
    file = tmp_path / "mine.json"
    file.write_text('{"Statement": []}')
    assert "stored" in vigia("iam", "policies", "put", "mine", str(file), "--description", "of mine")
    assert json.loads(door.asked[-1].body) == {"document": {"Statement": []}, "description": "of mine"}
    assert "of mine" in vigia("iam", "policies", "list")
    assert json.loads(vigia("iam", "policies", "show", "mine")) == policy
    assert "deleted" in vigia("iam", "policies", "delete", "mine")
    options = ("--trust", "222233334444", "--policy", "operator", "--max-session-seconds", "7200")
    assert "stored" in vigia("iam", "roles", "put", "shift", *options)
    assert json.loads(door.asked[-1].body) == {
        "policies": ["operator"],
        "inline": {},
        "trust": ["222233334444"],
        "max_session_seconds": 7200,
    }
    assert "222233334444" in vigia("iam", "roles", "list")
    assert json.loads(vigia("iam", "roles", "list", "--json")) == role
    assert json.loads(vigia("iam", "roles", "show", "shift")) == role
    assert "deleted" in vigia("iam", "roles", "delete", "shift")
    file.write_text("{")
    for arguments in (["policies", "put", "mine", str(file)], ["users", "put", "ana", "--inline", "mine"]):
        assert CliRunner().invoke(app, ["iam", *arguments]).exit_code == 2


def test_asking_what_somebody_may_do_says_it_by_exit_code_too(door: DoorStub) -> None:
    matched = [{"policy": "inline careful", "statement": "Production"}]
    door.answers["POST /api/v1/iam/simulate"] = [
        (200, {"decision": "allowed", "matched": []}),
        (200, {"decision": "explicitDeny", "matched": matched}),
    ]
    assert vigia("iam", "simulate", "vigia:ReadCameras", "--role", "shift") == "allowed\n"
    keys = ("--context", "aws:TagKeys=a", "--context", "aws:TagKeys=b", "--context", "aws:ResourceTag/stage=production")
    arguments = ["iam", "simulate", "lookoutvision:StopModel", "arn:aws:x:::y", "--user", "ana", *keys]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 1
    assert "by statement Production of policy inline careful" in done.output
    assert json.loads(door.asked[-1].body) == {
        "user": "ana",
        "action": "lookoutvision:StopModel",
        "resource": "arn:aws:x:::y",
        "context": {"aws:TagKeys": ["a", "b"], "aws:ResourceTag/stage": "production"},
    }
    assert CliRunner().invoke(app, ["iam", "simulate", "a:B"]).exit_code == 2


def test_an_account_is_added_with_its_first_key(door: DoorStub) -> None:
    answer = {"account_id": "222233334444", "access_key": NEW_KEY}
    door.answers["POST /api/v1/iam/accounts"] = (201, answer)
    item = {"account_id": "222233334444", "created_at": USER["created_at"]}
    door.answers["GET /api/v1/iam/accounts"] = (200, {"items": [item], "next": None})
    assert "AWS_SECRET_ACCESS_KEY=told/once" in vigia("iam", "accounts", "add", "222233334444")
    assert "222233334444" in vigia("iam", "accounts", "list")


def test_inspections_show_part_verdict_score_and_latency(door: DoorStub) -> None:
    door.answers["GET /api/v1/inspections"] = (200, {"items": [INSPECTION], "next": None})
    row = vigia("inspections", "--camera", "oven-1", "--verdict", "reject")
    for text in ("oven-1", "P-1", "REJECT", "0.9123", "0.5", "50 ms", "cracked 1.81%"):
        assert text in row
    assert "verdict=REJECT" in door.asked[0].query


def test_a_table_is_whole_however_narrow_the_terminal(door: DoorStub) -> None:
    part = "P-2026-000123456789-left"
    door.answers["GET /api/v1/inspections"] = (200, {"items": [INSPECTION | {"part_id": part}], "next": None})
    shown = CliRunner(env={"COLUMNS": "40"}).invoke(app, ["inspections"]).output
    assert part in shown
    assert len(shown.splitlines()) == 2, shown


def test_following_shows_each_as_it_comes(door: DoorStub) -> None:
    invalid = INSPECTION | {"verdict": "INVALID", "cause": "late", "score": None, "part_id": "[bold]P"}
    door.answers["GET /api/v1/inspections"] = [
        (200, {"items": [INSPECTION], "next": "p1"}),
        (200, {"items": [invalid], "next": "p2"}),
        (503, {"code": "unavailable", "detail": "the history cannot be read now"}),
    ]
    done = CliRunner(env={"COLUMNS": "60"}).invoke(app, ["inspections", "--follow"])
    assert str(done.exception) == "the history cannot be read now"
    assert len(done.output.splitlines()) == 3, done.output
    title, first, second = done.output.splitlines()
    assert title.split()[:3] == ["CAPTURED", "CAMERA", "PART"]
    assert "REJECT" in first
    assert "late" in second
    assert "[bold]P" in second


def test_trends_show_counts_and_rate(door: DoorStub) -> None:
    counts = {"PASS": 90, "REJECT": 10, "REVIEW": 0, "INVALID": 3}
    point = {"start": "2026-01-02T03:00:00Z", "group": "demo", "counts": counts, "total": 103, "defect_rate": 0.1}
    door.answers["GET /api/v1/trends"] = (200, {"points": [point]})
    row = vigia("trends", "--bucket", "day", "--group-by", "line")
    for text in ("demo", "90", "103", "10.00%"):
        assert text in row
    assert "bucket=day&group_by=line" in door.asked[0].query


def test_a_refusal_is_one_line_and_exit_1(door: DoorStub) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from vigia_client.cli import main; main()", "cameras", "rm", "x"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.strip() == "error: no such thing [404 not_found]"


def photograph(number: int) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (32, 32), (number, 0, 0)).save(data, "JPEG")
    return data.getvalue()


async def read(kafka: str, prefix: str, count: int) -> list[Event]:
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(f"{prefix}frames", number) for number in range(FRAMES.partitions)])
        found: list[Any] = []
        while len(found) < count:
            batches = await consumer.getmany(timeout_ms=10_000)
            assert batches, "no more frames came"
            found += [record for records in batches.values() for record in records]
    finally:
        await consumer.stop()
    return [
        decode(FRAMES, key=record.key, value=record.value, headers=record.headers, timestamp_ms=record.timestamp)
        for record in found
    ]


async def test_published_files_are_frames(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    await ensure_topics(KafkaSettings(bootstrap=kafka, topic_prefix=topic_prefix), [FRAMES])
    files = [tmp_path / f"{number}.jpg" for number in range(3)]
    for number, file in enumerate(files):
        file.write_bytes(photograph(number))
    assert await publish(kafka, "oven-1", files, topic_prefix=topic_prefix) == 3
    frames = await read(kafka, topic_prefix, 3)
    assert [frame.data for frame in frames] == [photograph(number) for number in range(3)]
    assert {frame.key for frame in frames} == {"oven-1"}
    assert len({(frame.source, frame.id) for frame in frames}) == 3
    assert not frames[0].time_stated
    (tmp_path / "large.jpg").write_bytes(bytes(MAX_INLINE_BYTES + 1))
    with pytest.raises(TooLargeError, match="--http"):
        await publish(kafka, "oven-1", [tmp_path / "large.jpg"], topic_prefix=topic_prefix)


def test_doctor_says_what_to_do_where_nobody_answers(door: DoorStub, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = "127.0.0.1:9"
    for name, value in {
        "VIGIA_KAFKA": nobody,
        "VIGIA_POSTGRES": f"postgresql://u:hunter2@{nobody}/vigia",
        "VIGIA_PROMETHEUS": f"http://{nobody}",
        "VIGIA_BUCKET": "b",
        "AWS_ENDPOINT_URL_S3": f"http://{nobody}",
        "AWS_ENDPOINT_URL_LOOKOUTVISION": f"http://{nobody}",
        "AWS_ENDPOINT_URL_REKOGNITION": f"http://{nobody}",
    }.items():
        monkeypatch.setenv(name, value)
    camera = {"camera_id": "oven-1", "enabled": True}
    fault = {"started_at": "2026-01-02T03:04:05Z", "cause": "auth"}
    door.answers = {
        "GET /api/v1/lines": (200, {"items": [], "next": None}),
        "GET /api/v1/cameras": (200, {"items": [camera], "next": None}),
        "GET /api/v1/faults": (200, {"items": [fault], "next": None}),
    }
    found = {finding.door: finding for finding in checks.run(find())}
    assert {name: finding.state.value for name, finding in found.items()} == {
        "gateway": "ok",
        "sign-in": "ok",
        "kafka": "failed",
        "postgres": "failed",
        "object store": "failed",
        "prometheus": "failed",
        "models": "failed",
        "label models": "failed",
        "camera oven-1": "failed",
    }
    assert all(finding.advice for finding in found.values() if finding.state is checks.State.FAILED)
    assert "password" in found["camera oven-1"].advice
    assert "hunter2" not in str(found)
    assert CliRunner().invoke(app, ["doctor"]).exit_code == 1


def test_doctor_tells_a_camera_that_is_seen_from_one_that_is_judged(door: DoorStub) -> None:
    now = datetime.now(UTC)
    policy = {"frames_per_second": 2.0, "blind_after_seconds": 5.0}
    camera = {"camera_id": "oven-1", "enabled": True, "source": {"kind": "rtsp"}, "policy": policy}
    judged = INSPECTION | {"captured_at": now.isoformat(), "cause": None}
    invalid = judged | {"verdict": "INVALID", "cause": "no_model"}
    old = judged | {"captured_at": (now - timedelta(minutes=5)).isoformat()}

    def found(camera: dict[str, Any], inspection: dict[str, Any]) -> checks.Finding:
        door.answers = {
            "GET /api/v1/cameras": (200, {"items": [camera], "next": None}),
            "GET /api/v1/faults": (200, {"items": [], "next": None}),
            "GET /api/v1/inspections": (200, {"items": [inspection], "next": None}),
        }
        (finding,) = checks.cameras(find())
        return finding

    assert found(camera, judged).state is checks.State.OK
    assert found(camera, invalid).state is checks.State.WARNING
    assert "no_model" in found(camera, invalid).detail
    assert "start-model" in found(camera, invalid).advice
    assert "ingestion" in found(camera, old).advice
    assert found(camera | {"source": {"kind": "push"}}, old).state is checks.State.OK


def test_doctor_names_the_models_of_custom_labels_that_run(door: DoorStub, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Account()) as account:
        monkeypatch.setenv("AWS_ENDPOINT_URL_REKOGNITION", account.url)
        (finding,) = checks.label_models(find())
        assert (finding.state, finding.detail) == (checks.State.OK, "none is running")
        for name in ("boards", "logos", "rooms"):
            account.project(name)
        account.version("boards", "v.1", Status="STOPPED")
        account.version("boards", "v.2", Status="RUNNING")
        account.version("rooms", "first", Status="RUNNING")
        (finding,) = checks.label_models(find())
        assert (finding.state, finding.detail) == (checks.State.OK, "running: boards v.2, rooms first")


def test_doctor_names_the_process_that_prometheus_cannot_read(door: DoorStub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIGIA_PROMETHEUS", door.url)
    named = {"metric": {"instance": "127.0.0.1:1", "process": "training"}, "value": [0, "0"]}
    unnamed = {"metric": {"instance": "triton:8002"}, "value": [0, "0"]}
    well = {"metric": {"instance": "ingestion:9100"}, "value": [0, "1"]}
    door.answers["GET /api/v1/query"] = (200, {"data": {"result": [named, unnamed, well]}})
    (finding,) = checks.prometheus(find())
    assert finding.detail == "down: training (127.0.0.1:1), triton:8002"


def test_trials_refuse_what_is_ambiguous_before_anything_is_asked(door: DoorStub, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1.png").write_bytes(b"x")
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    for arguments in (
        ["run", "n", "--project", "p", "s3://b/x/", a],
        ["run", "n", "--project", "p", a, b],  # two images of one name
        ["run", "n", "--project", "p", str(tmp_path / "gone")],
        ["verify", "t", "1"],
        ["verify", "t", "1", "--correct", "--incorrect"],
        ["verify", "t", "--correct"],
        ["verify", "t", "1", "--all", "--correct"],
        ["verify", "t", "1-", "--correct"],
        ["verify", "t", "1-99999999999", "--correct"],
        ["verify", "t", "1", "2", "--mask", f"{a}/1.png"],
    ):
        assert CliRunner().invoke(app, ["trials", *arguments]).exit_code == 2, arguments
    assert door.asked == []


def test_a_trial_that_fails_ends_the_command_with_an_error(door: DoorStub) -> None:
    counts = dict.fromkeys(
        ("images", "waiting", "failed", "normal", "anomaly", "unverified", "correct", "incorrect", "added"), 0
    )
    trial = {
        "trial_id": "t1",
        "name": "n",
        "model_version": "1",
        "project": "p",
        "state": "in_progress",
        "status_message": "",
        "counts": counts,
    }
    failed = trial | {"state": "failed", "status_message": "The model version was deleted."}
    door.answers = {"POST /api/v1/trials": (201, trial), "GET /api/v1/trials/t1": [(200, trial), (200, failed)]}
    done = CliRunner().invoke(app, ["trials", "run", "n", "s3://b/x/", "--project", "p"])
    assert done.exit_code == 1
    assert "The model version was deleted." in done.output
    assert json.loads(door.asked[0].body)["source"] == {"kind": "folder", "uri": "s3://b/x/"}
