"""The real worker process on a real broker and database: each inspection has one effect, whatever is killed."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psutil
from aggregator_help import (
    Process,
    event_of,
    free_port,
    make_inspection,
    new_run,
    publish,
    rollups_equal_rows,
    scalar,
    until,
)
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from vigia_aggregator.adapters.migrate import upgrade
from vigia_contracts.base import derived_id
from vigia_contracts.cameras import CAMERA_CHANGED, Camera, PushSource
from vigia_contracts.events import Event, encode
from vigia_contracts.faults import FAULT_RECORDED, Fault, FaultKind
from vigia_contracts.topics import CAMERAS, FAULTS, INSPECTIONS
from vigia_runtime.kafka.producer import Producer
from vigia_runtime.postgres import create_engine
from vigia_runtime.settings import KafkaSettings, PostgresSettings
from vigia_stack.parts.postgres import PostgresPart
from vigia_stack.stack import Stack

Spawn = Callable[[str, dict[str, str]], Process]


async def rows(engine: AsyncEngine) -> int:
    return int(await scalar(engine, "select count(*) from inspection.inspections"))


async def reach(engine: AsyncEngine, count: int, seconds: float = 60) -> None:
    async def there() -> bool:
        return await rows(engine) >= count

    await until(there, seconds, f"{count} rows")


async def dead(kafka_settings: KafkaSettings, count: int) -> list[ConsumerRecord]:
    """The first ``count`` dead letters of the inspections."""
    topic = f"{kafka_settings.topic_prefix}inspections.dead"
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka_settings.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, 0)])
        await consumer.seek_to_beginning()
        found: list[ConsumerRecord] = []
        async with asyncio.timeout(60):
            while len(found) < count:
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    found += records
        return found
    finally:
        await consumer.stop()


async def test_effect_is_once_under_kill_9_and_repeats(
    engine: AsyncEngine, producer: Producer, environment: dict[str, str], spawn: Spawn
) -> None:
    """kill -9 twice while thousands of messages flow, every fifth delivered twice: rows are the distinct ids."""
    run = new_run()
    sent = [make_inspection(number, run) for number in range(4000)]

    async def flow() -> None:
        for start in range(0, len(sent), 200):
            part = sent[start : start + 200]
            await publish(producer, part + part[::5])

    flowing = asyncio.create_task(flow())
    worker = spawn("worker", environment)
    for at_least in (400, 1600):
        await reach(engine, at_least)
        worker.send(signal.SIGKILL)
        assert await worker.ended() == -signal.SIGKILL
        assert await rows(engine) < len(sent), "killed too late to prove anything"
        worker = spawn("worker", environment)
    await flowing
    await reach(engine, len(sent), 90)
    await worker.ready()
    # The last record of each partition was a repeat: wait until all of them are finished.
    await until(lambda: _no_lag(worker), 30, "no lag")
    assert await rows(engine) == len(sent)
    assert await scalar(engine, "select count(distinct inspection_id) from inspection.inspections") == len(sent)
    await rollups_equal_rows(engine)
    # The counters are those of all rows ever stored, though this process has written only some of them.
    await until(lambda: _exposes(worker, len(sent)), 20, "all rows exposed")


async def _no_lag(worker: Process) -> bool:
    found = [
        line for line in (await worker.get("/metrics")).text.splitlines() if line.startswith("vigia_consumer_lag_r")
    ]
    return bool(found) and all(line.endswith(" 0.0") for line in found)


async def test_bad_messages_are_buried_and_the_rest_goes_on(
    engine: AsyncEngine,
    producer: Producer,
    kafka_settings: KafkaSettings,
    environment: dict[str, str],
    spawn: Spawn,
) -> None:
    run = new_run()
    good = [make_inspection(number, run, camera_id="cam") for number in range(6)]
    record = encode(INSPECTIONS, event_of(good[0]))

    async def raw(value: bytes | None, headers: list[tuple[str, bytes]]) -> None:
        await producer.send_raw("inspections", b"cam", value, headers)

    await publish(producer, good[:2])
    await raw(b"{not json", record.headers)
    await raw(None, record.headers)
    await raw(record.value, [])
    await raw(record.value, [(k, b"vigia.other.v1" if k == "ce_type" else v) for k, v in record.headers])
    now = datetime.now(UTC)
    await publish(producer, [make_inspection(90, run, camera_id="cam", captured_at=now + timedelta(days=9))])
    await publish(producer, [make_inspection(91, run, camera_id="cam", captured_at=now - timedelta(days=4000))])
    await publish(producer, [make_inspection(92, run, camera_id="cam", part_id="a\x00b")])
    await publish(producer, good[2:])
    spawn("worker", environment)
    await reach(engine, len(good))
    letters = await dead(kafka_settings, 7)
    codes = [dict(letter.headers)["vigia_dead_code"].decode() for letter in letters]
    assert sorted(codes) == [
        "bad_data",
        "bad_headers",
        "captured_in_future",
        "captured_too_old",
        "no_value",
        "unknown_type",
        "unstorable",
    ]
    assert letters[codes.index("bad_data")].value == b"{not json"
    assert await rows(engine) == len(good)
    await rollups_equal_rows(engine)


async def test_postgres_refuses_then_recovers_one_row(
    engine: AsyncEngine, producer: Producer, environment: dict[str, str], spawn: Spawn
) -> None:
    """A refused transaction (deadlock detected, raised by a trigger as the server would) is tried again in place."""
    async with engine.begin() as connection:
        await connection.execute(text("create sequence public.attempts"))
        await connection.execute(
            text(
                "create function public.refuse() returns trigger language plpgsql as $$ begin "
                "if nextval('public.attempts') <= 3 then raise exception using errcode = '40P01'; end if; "
                "return new; end $$"
            )
        )
        await connection.execute(
            text(
                "create trigger refuse before insert on inspection.rollups for each statement "
                "execute function public.refuse()"
            )
        )
    await publish(producer, [make_inspection(0, new_run())])
    worker = spawn("worker", environment)
    await reach(engine, 1)
    assert await scalar(engine, "select last_value from public.attempts") >= 4
    assert await rows(engine) == 1
    await rollups_equal_rows(engine)
    assert worker.process is not None
    assert worker.process.poll() is None


async def test_failure_that_lasts_ends_the_process_without_commit(
    engine: AsyncEngine, producer: Producer, environment: dict[str, str], spawn: Spawn
) -> None:
    run = new_run()
    async with engine.begin() as connection:
        await connection.execute(text("alter table inspection.rollups rename to elsewhere"))
    await publish(producer, [make_inspection(number, run) for number in range(20)])
    worker = spawn("worker", environment)
    assert await worker.ended() == 1
    async with engine.begin() as connection:
        await connection.execute(text("alter table inspection.elsewhere rename to rollups"))
    spawn("worker", environment)
    await reach(engine, 20)
    await rollups_equal_rows(engine)


async def test_postgres_killed_and_back(
    kafka_settings: KafkaSettings, producer: Producer, environment: dict[str, str], spawn: Spawn, tmp_path: Path
) -> None:
    """Postgres is killed in the middle and comes back: nothing lost, nothing doubled, in the same process."""
    run = new_run()
    with Stack(["postgres"], tmp_path / "postgres") as stack:
        url = stack.part(PostgresPart).url("postgres")
        engine = create_engine(PostgresSettings(url=SecretStr(url)))
        await upgrade(engine)
        worker = spawn("worker", environment | {"VIGIA_AGGREGATOR_POSTGRES__URL": url})
        await publish(producer, [make_inspection(number, run) for number in range(300)])
        await reach(engine, 1)
        pid = stack.status("postgres").pid
        assert pid is not None
        _kill_tree(pid)
        await publish(producer, [make_inspection(number, run) for number in range(300, 600)])

        async def back() -> bool:
            try:
                return await rows(engine) >= 600
            except Exception:
                return False

        await until(back, 90, "600 rows after the outage")
        assert worker.process is not None
        assert worker.process.poll() is None
        assert await rows(engine) == 600
        await rollups_equal_rows(engine)
        await engine.dispose()


def _kill_tree(pid: int) -> None:
    parent = psutil.Process(pid)
    for process in [parent, *parent.children(recursive=True)]:
        process.kill()


async def test_sigterm_in_the_middle_of_a_batch(
    engine: AsyncEngine, producer: Producer, environment: dict[str, str], spawn: Spawn
) -> None:
    """The batch at hand waits for a lock when SIGTERM comes: exit 0 within the budget, no gap, no double."""
    run = new_run()
    worker = spawn("worker", environment)
    await publish(producer, [make_inspection(0, run)])
    await reach(engine, 1)
    async with engine.connect() as blocker:
        transaction = await blocker.begin()
        await blocker.execute(text("lock table inspection.rollups in access exclusive mode"))
        await publish(producer, [make_inspection(number, run) for number in range(1, 500)])

        async def waiting() -> bool:
            return bool(await scalar(engine, "select count(*) from pg_locks where not granted"))

        await until(waiting, 20, "the batch waits for the lock")
        began = time.monotonic()
        worker.send(signal.SIGTERM)
        await asyncio.sleep(0.2)  # the batch is still waiting when the process has begun to stop
        await transaction.rollback()
    assert await worker.ended() == 0
    assert time.monotonic() - began < 25
    spawn("worker", environment)
    await reach(engine, 500)
    await rollups_equal_rows(engine)


def camera_event(revision: int, camera: str, *, enabled: bool = True) -> Event:
    """The registry's announcement of a camera."""
    body = Camera(camera_id=camera, account_id="1", region="r", revision=revision, enabled=enabled, source=PushSource())
    now = datetime.now(UTC)
    return Event(type=CAMERA_CHANGED, source="registry", id=new_run(), time=now, data=body, key=camera)


async def test_two_workers_share_and_hand_over(
    engine: AsyncEngine, producer: Producer, environment: dict[str, str], spawn: Spawn
) -> None:
    """A second worker joins and the first leaves while messages flow; one of them exposes the counters."""
    run = new_run()
    await producer.send(CAMERAS, camera_event(1, "cam-1"))
    await producer.send(CAMERAS, camera_event(1, "cam-3", enabled=False))
    first = spawn("worker", environment)
    await first.ready()
    await publish(producer, [make_inspection(number, run) for number in range(300)])
    second = spawn("worker", environment)
    await second.ready()
    await publish(producer, [make_inspection(number, run) for number in range(300, 900)])
    first.send(signal.SIGTERM)
    await publish(producer, [make_inspection(number, run) for number in range(900, 1200)])
    assert await first.ended() == 0
    await reach(engine, 1200)
    assert await rows(engine) == 1200
    await rollups_equal_rows(engine)

    await until(lambda: _exposes(second, 1200), 20, "the second worker exposes all rows")
    metrics = (await second.get("/metrics")).text
    for name in (
        "vigia_defect_rate{",
        "vigia_inspection_latency_seconds_bucket{",
        'vigia_camera_last_frame_age_seconds{camera="cam-1"',
        "vigia_consumer_lag_records{",
        'vigia_inspection_stage_seconds_bucket{le="0.02",stage="infer"}',
    ):
        assert name in metrics
    # Silence of a camera that is switched off means nothing, so its age is not shown.
    assert 'vigia_camera_last_frame_age_seconds{camera="cam-3"' not in metrics


async def _exposes(worker: Process, count: int) -> bool:
    lines = (await worker.get("/metrics")).text.splitlines()
    return count == sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("vigia_inspections_total{"))


async def test_faults_open_and_close_and_cameras_follow(
    engine: AsyncEngine, producer: Producer, environment: dict[str, str], spawn: Spawn
) -> None:
    began = datetime.now(UTC) - timedelta(minutes=1)
    fault = Fault(
        fault_id=derived_id("fault", new_run()),
        kind=FaultKind.BLIND,
        cause="timeout",
        account_id="1",
        camera_id="cam",
        started_at=began,
    )
    closed = fault.model_copy(update={"ended_at": began + timedelta(seconds=30), "count": 3})

    def fault_event(body: Fault) -> Event:
        return Event(type=FAULT_RECORDED, source="ingestion", id=new_run(), time=began, data=body, key="cam")

    for body in (fault, closed, fault):  # the opening record comes again after the closing one
        await producer.send(FAULTS, fault_event(body))
    for revision in (1, 2):
        await producer.send(CAMERAS, camera_event(revision, "kept"))
    await producer.send(CAMERAS, camera_event(1, "gone"))
    await producer.tombstone(CAMERAS, "gone")
    spawn("worker", environment)

    async def stored() -> bool:
        cameras = await scalar(engine, "select string_agg(camera_id || revision, ',') from inspection.cameras")
        faults = await scalar(
            engine, "select count(*) from inspection.faults where ended_at is not null and frames = 3"
        )
        return bool(cameras == "kept2" and faults == 1)

    await until(stored, 60, "fault closed, camera kept, other gone")
    assert await scalar(engine, "select count(*) from inspection.faults") == 1


async def test_missing_settings_are_named(spawn: Spawn) -> None:
    worker = spawn("worker", {})
    assert await worker.ended() == 2
    assert "VIGIA_AGGREGATOR_KAFKA__BOOTSTRAP" in worker.log.read_text()
    assert "VIGIA_AGGREGATOR_POSTGRES__URL" in worker.log.read_text()
    assert "Traceback" not in worker.log.read_text()


async def test_http_process(environment: dict[str, str], engine: AsyncEngine, spawn: Spawn) -> None:
    """The door opens, is closed to strangers, and SIGTERM ends it."""
    port = free_port()
    http = spawn(
        "http",
        environment
        | {
            "VIGIA_AGGREGATOR_HTTP__PORT": str(port),
            "VIGIA_AGGREGATOR_REGISTRY__URL": "http://127.0.0.1:1",
            "VIGIA_AGGREGATOR_REGISTRY__TOKEN": "token",
            "VIGIA_AGGREGATOR_OBJECTS__ENDPOINT": "http://127.0.0.1:1",
            "VIGIA_AGGREGATOR_OBJECTS__ACCESS_KEY_ID": "a",
            "VIGIA_AGGREGATOR_OBJECTS__SECRET_ACCESS_KEY": "b",
        },
    )
    await http.ready()
    async with httpx.AsyncClient(trust_env=False, base_url=f"http://127.0.0.1:{port}") as client:

        async def opened() -> bool:
            try:
                return (await client.get("/openapi.json")).status_code == 200
            except httpx.TransportError:
                return False

        await until(opened, 30, "the door is open")
        assert (await client.get("/api/v1/inspections")).status_code in (401, 403)
        assert (await client.get("/api/v1/inspections", auth=("key", "secret"))).status_code == 503  # registry is away
    http.send(signal.SIGTERM)
    assert await http.ended() == 0
