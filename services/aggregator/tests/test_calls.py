"""Calls and measurements from Kafka into Postgres: each counts once, whatever comes again and whatever is killed."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from aggregator_help import ACCOUNT, Process, new_run, scalar, until
from calls_help import call_event, ids, make_call, make_label_units, make_units, units_event
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from vigia_aggregator.adapters.aws_metrics import families, read
from vigia_aggregator.adapters.calls import CallStore, UnitStore
from vigia_aggregator.adapters.partitions import CALLS, INSPECTIONS, Partitions
from vigia_aggregator.adapters.trimmer import Trimmer
from vigia_aggregator.app.upkeep import Keep, upkeep
from vigia_contracts.audit import CUSTOM_LABELS, VIGIA, Call, CallOutcome
from vigia_contracts.topics import AUDIT, USAGE
from vigia_runtime.kafka.producer import Producer

Spawn = Callable[[str, dict[str, str]], Process]

#: The samples of every resolution, computed anew from the calls that are stored.
_EXPECTED = """
    with given as (
        select called_at as at, account_id, region, coalesce(project, '') as project,
            coalesce(model_version, '') as version, s.metric, s.value
        from inspection.calls cross join lateral (values
            ('SuccessfulRequestCount', (outcome = 'success')::int::float8),
            ('ErrorCount', (outcome <> 'success')::int::float8),
            ('ThrottledCount', (outcome = 'throttled')::int::float8),
            ('ProcessedImageCount', case when images_processed + images_invalid > 0 then images_processed end),
            ('InvalidImageCount', case when images_processed + images_invalid > 0 then images_invalid end),
            ('DetectedAnomalyCount', case when images_processed > 0 then anomalies end),
            ('Time', case when outcome = 'success' and images_processed + images_invalid > 0 then duration_ms end)
        ) as s(metric, value) where source = 'lookoutvision.amazonaws.com' and s.value is not null
    )
    select r, case r when 'total' then timestamptz 'epoch' when 'five_minutes'
        then date_bin('5 minutes', at, timestamptz 'epoch') else date_trunc(r, at, 'UTC') end,
        account_id, region, project, version, metric, count(*), round(sum(value)::numeric, 6), min(value), max(value)
    from given cross join unnest(array['minute', 'five_minutes', 'hour', 'total']) as r
    group by 1, 2, 3, 4, 5, 6, 7 order by 1, 2, 3, 4, 5, 6, 7
"""
_FOUND = """
    select resolution, bucket, account_id, region, project, model_version, metric, samples, round(sum::numeric, 6),
        minimum, maximum
    from inspection.samples where metric not like '%Units' order by 1, 2, 3, 4, 5, 6, 7
"""


async def samples_equal_calls(engine: AsyncEngine) -> None:
    """Every resolution holds exactly the samples of the stored calls."""
    async with engine.connect() as connection:
        expected = [tuple(row) for row in await connection.execute(text(_EXPECTED))]
        found = [tuple(row) for row in await connection.execute(text(_FOUND))]
    assert found == expected


async def rows(engine: AsyncEngine) -> int:
    return int(await scalar(engine, "select count(*) from inspection.calls"))


def varied(count: int, run: str) -> list[Call]:
    """Calls of every outcome, with and without images, over two hours and two versions."""
    now = datetime.now(UTC)
    outcomes = list(CallOutcome)
    made = []
    for number in range(count):
        outcome = outcomes[number % 7 % len(outcomes)]
        judged = outcome is CallOutcome.SUCCESS and number % 2 == 0
        made.append(
            make_call(
                number,
                run,
                outcome=outcome,
                called_at=now - timedelta(seconds=number % 7200),
                name="DetectAnomalies" if number % 2 == 0 else "DescribeModel",
                model_version=str(number % 2 + 1) if number % 11 else None,
                project="cookies" if number % 13 else None,
                images_processed=int(judged),
                anomalies=int(judged and number % 4 == 0),
                images_invalid=int(outcome is CallOutcome.CLIENT_ERROR and number % 2 == 0),
                duration_ms=float(number % 50),
            )
        )
    return made


async def test_a_call_counts_once_however_often_it_comes(engine: AsyncEngine) -> None:
    run = new_run()
    batch = varied(300, run)
    store = CallStore(engine, Partitions(engine, CALLS))
    assert await store.write([*batch[:200], *batch[:50]]) == ids(batch[:200])
    assert await store.write(batch) == ids(batch[200:])
    assert await CallStore(engine, Partitions(engine, CALLS)).write(batch) == set()
    assert await rows(engine) == 300
    await samples_equal_calls(engine)
    # Calls of Vigia's own API are in the audit and in no metric of Lookout.
    own = make_call(1, new_run(), source=VIGIA, name="PutCamera", project=None, model_version=None)
    assert await store.write([own]) == ids([own])
    await samples_equal_calls(engine)


async def test_a_minute_of_a_version_is_measured_once(engine: AsyncEngine) -> None:
    store = UnitStore(engine)
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    minutes = [make_units(hour + timedelta(minutes=n)) for n in range(10)]
    assert await store.write([*minutes[:6], *minutes[:3]]) == 6 * 4
    assert await store.write([*minutes, make_units(hour, "2", max_units=None)]) == 4 * 4 + 3
    query = "select samples from inspection.samples where metric = 'DesiredInferenceUnits' and model_version = '1' "
    assert await scalar(engine, f"{query} and resolution = 'hour'") == 10
    assert await scalar(engine, f"{query} and resolution = 'five_minutes' limit 1") == 5
    assert await scalar(engine, f"{query} and resolution = 'total'") == 10
    assert await scalar(engine, "select sum(sum) from inspection.samples where resolution = 'total'") == 84


async def test_calls_survive_kill_9_and_repeats(
    engine: AsyncEngine, producer: Producer, environment: dict[str, str], spawn: Spawn
) -> None:
    """kill -9 while calls flow, every fifth delivered twice: rows are the distinct calls, samples are the rows'."""
    run = new_run()
    sent = varied(3000, run)
    minute = datetime.now(UTC).replace(second=0, microsecond=0)

    async def flow() -> None:
        for start in range(0, len(sent), 200):
            part = sent[start : start + 200]
            await asyncio.gather(*(producer.send(AUDIT, call_event(call)) for call in part + part[::5]))

    for _ in range(2):
        await producer.send(USAGE, units_event(make_units(minute)))
    await producer.send(AUDIT, call_event(make_call(-1, run, called_at=minute - timedelta(days=200))))
    await producer.send(USAGE, units_event(make_units(minute - timedelta(days=20))))
    flowing = asyncio.create_task(flow())
    worker = spawn("worker", environment)

    async def some() -> bool:
        return await rows(engine) >= 300

    await until(some, 60, "some calls")
    worker.send(signal.SIGKILL)
    assert await worker.ended() == -signal.SIGKILL
    assert await rows(engine) < len(sent), "killed too late to prove anything"
    worker = spawn("worker", environment)
    await flowing

    async def all_of_them() -> bool:
        return await rows(engine) >= len(sent)

    await until(all_of_them, 90, "all calls")

    async def finished() -> bool:
        lines = (await worker.get("/metrics")).text.splitlines() if await worker_is_up(worker) else []
        lags = [line for line in lines if line.startswith("vigia_consumer_lag_records")]
        return bool(lags) and all(line.endswith(" 0.0") for line in lags)

    await until(finished, 30, "no lag")
    assert await rows(engine) == len(sent)
    await samples_equal_calls(engine)
    units = "select sum(samples) from inspection.samples where resolution = 'total' and metric = 'MinInferenceUnits'"
    assert await scalar(engine, units) == 1

    # Prometheus says the same.
    totals = {
        "success": "sum(sum) filter (where metric = 'SuccessfulRequestCount')",
        "throttled": "sum(sum) filter (where metric = 'ThrottledCount')",
    }

    async def exposed() -> bool:
        lines = (await worker.get("/metrics")).text.splitlines()
        for outcome, total in totals.items():
            counted = sum(
                float(line.rsplit(" ", 1)[1])
                for line in lines
                if line.startswith("vigia_lookout_requests_total{") and f'outcome="{outcome}"' in line
            )
            if counted != await scalar(engine, f"select {total} from inspection.samples where resolution = 'total'"):
                return False
        return any(line.startswith("vigia_lookout_inference_units{") and 'kind="desired"' in line for line in lines)

    await until(exposed, 20, "the counters agree with Postgres")


async def worker_is_up(worker: Process) -> bool:
    assert worker.process is not None
    return worker.process.poll() is None and await worker._status("/ready") == 200


async def test_records_and_samples_go_when_they_are_old(engine: AsyncEngine) -> None:
    """Calls after their days; samples as CloudWatch keeps them: minutes 15 days, fives 63 days, hours 15 months."""
    now = datetime.now(UTC)
    ages = {1: 4, 5: 4, 20: 3, 80: 2, 500: 0}
    store = CallStore(engine, Partitions(engine, CALLS))
    for number, age in enumerate(ages):
        project = f"p{age}"
        await store.write([make_call(number, new_run(), called_at=now - timedelta(days=age), project=project)])
    day = timedelta(days=1)
    keep = Keep(inspections=day, minutes=day, hours=day, calls=3 * day)
    went = await upkeep(Partitions(engine, INSPECTIONS), Partitions(engine, CALLS), Trimmer(engine), keep, now)
    assert went["call_days"] == 4
    assert await rows(engine) == 1
    for age, left in ages.items():
        query = f"select count(distinct resolution) from inspection.samples where project = 'p{age}'"
        assert await scalar(engine, query) == left, age


async def test_prometheus_tells_the_services_apart(engine: AsyncEngine) -> None:
    """Projects of both are called the same; what is counted of one is not counted of the other."""
    run, minute = new_run(), datetime.now(UTC).replace(second=0, microsecond=0)
    labels = {"source": CUSTOM_LABELS, "name": "DetectCustomLabels", "duration_ms": 250.0}
    made = [
        *(make_call(number, run, images_processed=1) for number in range(3)),
        *(make_call(10 + number, run, **labels) for number in range(2)),
        make_call(20, run, **labels, outcome=CallOutcome.THROTTLED),
        make_call(21, run, **labels, outcome=CallOutcome.CLIENT_ERROR),
    ]
    await CallStore(engine, Partitions(engine, CALLS)).write(made)
    await UnitStore(engine).write([make_units(minute), make_label_units(minute, "1", in_service_units=5)])
    async with engine.connect() as connection:
        found = families(await read(connection))
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value for family in found for sample in family.samples
    }

    def value(name: str, *labels: str) -> float | None:
        return samples.get((name, *sorted((ACCOUNT, *labels))))

    assert value("vigia_lookout_requests_total", "cookies", "1", "success") == 3
    assert value("vigia_lookout_requests_total", "cookies", "1", "throttled") == 0
    told = {
        outcome: value("vigia_customlabels_requests_total", "DetectCustomLabels", outcome)
        for outcome in ("success", "throttled", "user_error", "server_error")
    }
    assert told == {"success": 2, "throttled": 1, "user_error": 1, "server_error": 0}
    assert value("vigia_customlabels_request_seconds_count", "DetectCustomLabels") == 2
    assert value("vigia_customlabels_request_seconds_sum", "DetectCustomLabels") == 0.5
    assert value("vigia_lookout_inference_units", "cookies", "1", "in_service") == 1
    assert value("vigia_customlabels_inference_units", "cookies", "1", "in_service") == 5
    assert len([name for name, *_ in samples if name == "vigia_customlabels_requests_total"]) == 4
