"""Guarantee: a replay counts what another threshold would have made of the stored scores, and changes nothing."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from aggregator_help import ACCOUNT, make_inspection, new_run
from api_help import CAMERA_ONLY, OTHER, Keys, client_of, get
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from vigia_aggregator.adapters import replays
from vigia_aggregator.adapters.partitions import Partitions
from vigia_aggregator.adapters.store import InspectionStore
from vigia_aggregator.domain.filters import InspectionFilter
from vigia_aggregator.domain.replay import Limits
from vigia_aggregator.entrypoints.context import Context
from vigia_aggregator.settings import QuerySettings
from vigia_contracts.inspections import Inspection, InvalidCause, Verdict
from vigia_runtime.signin import Authenticator

NOW = datetime.now(UTC).replace(microsecond=0)
PLACE = {"project": "cookies", "model_version": "1"}


@pytest.fixture
def context(engine: AsyncEngine) -> Context:
    known = SimpleNamespace(engine=engine, authenticator=Authenticator(Keys()), query=QuerySettings())
    known.reading = lambda: Context.reading(cast(Context, known))
    return cast(Context, known)


@pytest.fixture
def store(engine: AsyncEngine) -> InspectionStore:
    return InspectionStore(engine, Partitions(engine))


def decided(number: int, run: str, score: float | None, verdict: Verdict, **changes: Any) -> Inspection:
    """The ``number``-th of a run, so many seconds ago."""
    judged = verdict is not Verdict.INVALID
    values = {
        "captured_at": NOW - timedelta(seconds=number),
        "score": score,
        "verdict": verdict,
        "cause": None if judged else InvalidCause.LATE,
        "is_anomalous": verdict is Verdict.REJECT if judged else None,
        "confidence": 0.9 if judged else None,
        "labels": [],
        "camera_id": "cam-1",
        "line_id": "line-1",
        **PLACE,
    }
    return make_inspection(number, run, **{**values, **changes})


def of(score: float, value: float, low: float = 2, high: float = 2) -> Verdict:
    """The rule, written once more."""
    if low <= score < high:
        return Verdict.REVIEW
    return Verdict.REJECT if score >= value else Verdict.PASS


async def test_it_counts_what_changes(context: Context, store: InspectionStore) -> None:
    run = new_run()
    await store.write(
        [
            decided(1, run, 0.2, Verdict.PASS),
            decided(2, run, 0.55, Verdict.REJECT),
            decided(3, run, 0.6, Verdict.REJECT),
            decided(4, run, 0.9, Verdict.REJECT),
            decided(5, run, 0.45, Verdict.REVIEW),
            decided(6, run, None, Verdict.INVALID),
            decided(7, run, None, Verdict.PASS),
            decided(8, run, 0.1, Verdict.PASS, shadow=True),
            decided(9, run, 0.1, Verdict.PASS, model_version="2"),
            decided(10, run, 0.1, Verdict.PASS, project="lids"),
        ]
    )
    async with client_of(context) as client:
        seen = await get(client, "/api/v1/replay", **PLACE, threshold=0.6)
        banded = await get(client, "/api/v1/replay", **PLACE, threshold=0.6, review_low=0.55, review_high=0.6)
        fewer = await get(client, "/api/v1/replay", **PLACE, threshold=0.6, last=2)
    assert (seen["inspections"], seen["left_out"]) == (7, {"INVALID": 1, "unscored": 1})
    assert seen["before"] == {"PASS": 1, "REJECT": 3, "REVIEW": 1, "reject_rate": 0.6, "review_rate": 0.2}
    assert seen["after"] == {"PASS": 3, "REJECT": 2, "REVIEW": 0, "reject_rate": 0.4, "review_rate": 0.0}
    assert seen["changed"] == 2
    assert seen["changes"] == [
        {"before": "REJECT", "after": "PASS", "count": 1},
        {"before": "REVIEW", "after": "PASS", "count": 1},
    ]
    assert [(row["score"], row["before"], row["after"]) for row in seen["items"]] == [
        (0.55, "REJECT", "PASS"),
        (0.45, "REVIEW", "PASS"),
    ]
    assert datetime.fromisoformat(seen["newest"]) == NOW - timedelta(seconds=1)
    assert datetime.fromisoformat(seen["oldest"]) == NOW - timedelta(seconds=7)
    # A band takes its low end and not its high one.
    assert banded["after"]["REVIEW"] == 1
    assert {"before": "REJECT", "after": "REVIEW", "count": 1} in banded["changes"]
    assert (fewer["inspections"], fewer["changed"]) == (2, 1)


async def test_it_agrees_with_the_rule_row_by_row(context: Context, store: InspectionStore) -> None:
    run, dice = new_run(), random.Random(7)
    rows = []
    for number in range(600):
        # Float32, as a model gives them, and often exactly at a limit.
        score = dice.choice([0.25, 0.5, 0.625, dice.randrange(2**20) / 2**20])
        rows.append(decided(number, run, score, of(score, 0.5), camera_id=f"cam-{number % 2}"))
    await store.write(rows)
    expected = Counter((row.verdict, of(cast(float, row.score), 0.625, 0.25, 0.75)) for row in rows[:500])
    async with client_of(context) as client:
        asked = {**PLACE, "threshold": 0.625, "review_low": 0.25, "review_high": 0.75}
        seen = await get(client, "/api/v1/replay", **asked, last=500)
        one = await get(client, "/api/v1/replay", **asked, camera="cam-1", last=500)
        early = await get(client, "/api/v1/replay", **asked, to=(NOW - timedelta(seconds=499)).isoformat())
        same = await get(client, "/api/v1/replay", **PLACE, threshold=0.5)
    found = {(row["before"], row["after"]): row["count"] for row in seen["changes"]}
    assert found == {pair: count for pair, count in expected.items() if pair[0] is not pair[1]}
    assert seen["inspections"] == 500
    assert len(seen["items"]) == 50
    ids = {str(row.inspection_id): row for row in rows}
    for item in seen["items"]:
        row = ids[item["inspection_id"]]
        assert (item["before"], item["after"]) == (row.verdict, of(cast(float, row.score), 0.625, 0.25, 0.75))
    assert seen["items"] == sorted(seen["items"], key=lambda item: item["captured_at"], reverse=True)
    assert (one["inspections"], early["inspections"], same["changed"]) == (300, 100, 0)


async def test_nothing_stored_says_so(context: Context, store: InspectionStore) -> None:
    await store.write([decided(1, new_run(), 0.9, Verdict.REJECT)])
    async with client_of(context) as client:
        seen = await get(client, "/api/v1/replay", project="nowhere", model_version="1", threshold=0.5)
    async with client_of(context, OTHER) as client:
        others = await get(client, "/api/v1/replay", **PLACE, threshold=0.99)
    assert (seen["inspections"], seen["before"]["reject_rate"], seen["oldest"]) == (0, None, None)
    assert (others["inspections"], others["items"]) == (0, [])


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"threshold": 0}, "threshold"),
        ({"threshold": 1}, "threshold"),
        ({"threshold": "nan"}, "threshold"),
        ({"threshold": 0.5, "review_low": 0.4}, "review_high"),
        ({"threshold": 0.5, "review_high": 0.6}, "review_low"),
        ({"threshold": 0.5, "review_low": 0.6, "review_high": 0.7}, "review_low"),
        ({"threshold": 0.5, "review_low": 0.4, "review_high": 0.45}, "review_high"),
        ({"threshold": 0.5, "review_low": 0.5, "review_high": 0.5}, "review_high"),
        ({"threshold": 0.5, "last": 0}, "last"),
        ({"threshold": 0.5, "last": 100_001}, "last"),
        ({}, "threshold"),
    ],
)
async def test_bad_questions_name_the_number(context: Context, asked: dict[str, Any], field: str) -> None:
    async with client_of(context) as client:
        answer = await client.get("/api/v1/replay", params={**PLACE, **asked})
    assert answer.status_code == 400
    assert field in answer.json()["details"]["problems"][0]["where"]


async def test_closed_without_the_right_to_read(context: Context) -> None:
    params = {**PLACE, "threshold": "0.5"}
    for auth, codes in (
        (None, (401, 403)),
        (httpx.BasicAuth("AKIAEXAMPLE", "wrong"), (401, 403)),
        (CAMERA_ONLY, (403,)),
    ):
        async with client_of(context, auth) as client:
            assert (await client.get("/api/v1/replay", params=params)).status_code in codes


async def test_it_reads_no_more_rows_than_it_was_told(engine: AsyncEngine, store: InspectionStore) -> None:
    """Of many rows the last few come from an index: what a replay costs does not grow with the history."""
    run = new_run()
    await store.write([decided(number, run, number % 100 / 100, Verdict.PASS) for number in range(1, 5001)])
    wanted = InspectionFilter(account_id=ACCOUNT, **PLACE)
    async with engine.begin() as connection:
        await connection.execute(text("analyze inspection.inspections"))
        query = replays.statement(wanted, Limits(0.5, 0.4, 0.6), 10).compile(
            dialect=engine.dialect, compile_kwargs={"literal_binds": True}
        )
        [plan] = (
            await connection.execute(text(f"explain (analyze, format json) {query}".replace(":", "\\:")))
        ).scalar_one()
    scanned = [node for node in _nodes(plan["Plan"]) if node.get("Relation Name", "").startswith("inspections")]
    assert scanned
    assert {node["Node Type"] for node in scanned} <= {"Index Scan", "Seq Scan"}, scanned
    assert sum(node["Actual Rows"] for node in scanned) <= 20, scanned


def _nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for child in plan.get("Plans", []) for node in _nodes(child))]
