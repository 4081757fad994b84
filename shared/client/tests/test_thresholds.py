"""`vigia thresholds`: what a person types, what is asked for, what is shown."""

from __future__ import annotations

import json
from typing import Any

from typer.testing import CliRunner

from vigia_client.cli import app

from .conftest import DoorStub

PATH = "/api/v1/projects/cookies/models/2/thresholds"
RATE = {"count": 1, "of": 40, "rate": 0.025, "low": 0.0044, "high": 0.1288}
PREDICTED = {"false_rejects": RATE, "misses": None, "reviewed_normal": RATE, "reviewed_anomalous": None}
RECORD: dict[str, Any] = {
    "number": 3,
    "threshold_id": "b2c1",
    "value": 0.7,
    "review_low": 0.6,
    "review_high": 0.75,
    "source": "person",
    "author": "arn:aws:iam::123456789012:user/ana",
    "reason": "new lamp",
    "predicted": PREDICTED,
    "created_at": "2026-01-02T03:04:05Z",
}
FIRST = RECORD | {"number": 2, "review_low": None, "review_high": None, "predicted": None}
REPLAY = {
    "inspections": 10,
    "left_out": {"INVALID": 1, "unscored": 0},
    "oldest": "2026-01-02T03:04:05Z",
    "newest": "2026-01-02T04:04:05Z",
    "before": {"PASS": 6, "REJECT": 3, "REVIEW": 0, "reject_rate": 1 / 3, "review_rate": 0.0},
    "after": {"PASS": 8, "REJECT": 1, "REVIEW": 0, "reject_rate": 1 / 9, "review_rate": 0.0},
    "changed": 2,
    "changes": [{"before": "REJECT", "after": "PASS", "count": 2}],
    "items": [
        {
            "inspection_id": "5d2f",
            "captured_at": "2026-01-02T03:30:00Z",
            "score": 0.612345,
            "before": "REJECT",
            "after": "PASS",
        }
    ],
}


def vigia(*arguments: str, typed: str | None = None) -> str:
    done = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["thresholds", *arguments], typed, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_records_are_listed_with_what_was_predicted(door: DoorStub) -> None:
    door.answers[f"GET {PATH}"] = (200, {"items": [RECORD, FIRST], "next": None})
    table = vigia("list", "cookies", "2")
    for text in ("0.7", "0.6 to 0.75", "2.50% (0.44% to 12.88%)", "user/ana", "new lamp"):
        assert text in table
    assert [json.loads(line) for line in vigia("list", "cookies", "2", "--json").splitlines()] == [RECORD, FIRST]


def test_a_preview_shows_rates_or_why_there_are_none(door: DoorStub) -> None:
    answer = {"predicted": PREDICTED, "unpredicted": None}
    door.answers[f"GET {PATH}/preview"] = (200, answer)
    table = vigia("preview", "cookies", "2", "0.7", "--review-low", "0.6", "--review-high", "0.75")
    assert door.asked[-1].query == "value=0.7&review_low=0.6&review_high=0.75"
    for text in ("FALSE REJECTS", "2.50%", "0.44% to 12.88%", "1 of 40", "none of the class"):
        assert text in table
    assert json.loads(vigia("preview", "cookies", "2", "0.7", "--json")) == answer
    door.answers[f"GET {PATH}/preview"] = (200, {"predicted": None, "unpredicted": "It is gone."})
    assert "nothing can be predicted: It is gone." in vigia("preview", "cookies", "2", "0.7")


def test_setting_replaces_what_is_newest_and_asks_why(door: DoorStub) -> None:
    door.answers = {f"GET {PATH}": (200, {"items": [FIRST], "next": None}), f"POST {PATH}": (201, RECORD)}
    assert "Why" in vigia("set", "cookies", "2", "0.7", typed="new lamp\n")
    asked = {"value": 0.7, "replaces": 2, "reason": "new lamp", "review_low": None, "review_high": None}
    assert json.loads(door.asked[-1].body) == asked
    band = ("--review-low", "0.6", "--review-high", "0.75")
    made = vigia("set", "cookies", "2", "0.7", "--reason", "new lamp", "--replaces", "1", *band, "--json")
    assert json.loads(made) == RECORD
    assert json.loads(door.asked[-1].body) == asked | {"replaces": 1, "review_low": 0.6, "review_high": 0.75}


def test_a_replay_shows_what_would_have_been(door: DoorStub) -> None:
    door.answers["GET /api/v1/replay"] = (200, REPLAY)
    said = vigia("replay", "cookies", "2", "0.7", "-n", "10", "--camera", "oven-1", "--from", "2026-01-01T00:00:00Z")
    for text in ("10 inspections", "1 INVALID", "33.33%", "11.11%", "REJECT to PASS: 2", "5d2f", "0.6123"):
        assert text in said
    for text in ("project=cookies", "model_version=2", "threshold=0.7", "last=10", "camera=oven-1", "from=2026"):
        assert text in door.asked[-1].query
    assert json.loads(vigia("replay", "cookies", "2", "0.7", "--json")) == REPLAY
    door.answers["GET /api/v1/replay"] = (200, REPLAY | {"changed": 0, "changes": [], "items": []})
    assert "no verdict would have been another" in vigia("replay", "cookies", "2", "0.7")
