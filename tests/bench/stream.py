"""From a published frame to a readable row."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Sequence

import psycopg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from tests.bench.figures import Figure, Report, quantile
from tests.line import Line
from vigia_contracts.frames import FRAME_CAPTURED

RATE = 20.0
SECONDS = 45
_WARM_UP = 60  # frames that do not count


async def measure(report: Report, line: Line, project: str, images: Sequence[bytes]) -> None:
    """20 frames a second of 640x480; beside it how long the bare broker needs for the same records."""
    camera, source = "bench", f"/bench/{uuid.uuid4().hex[:8]}"
    await line.add_camera(camera, project, images[0], pass_evidence_share=0.1)
    total = int(RATE * SECONDS) + _WARM_UP
    sent: dict[str, float] = {}
    echoed: dict[str, float] = {}
    rows: dict[str, float] = {}
    ready = asyncio.Event()
    tasks = [
        asyncio.create_task(_echo(line.kafka, source, total, echoed, ready)),
        asyncio.create_task(_read(line.postgres, source, total, rows)),
    ]
    await ready.wait()
    async with AIOKafkaProducer(bootstrap_servers=line.kafka, acks="all", max_request_size=1 << 20) as producer:
        started = time.monotonic()
        for number in range(total):
            await asyncio.sleep(max(0.0, started + number / RATE - time.monotonic()))
            frame = str(number)
            headers = [
                ("ce_specversion", b"1.0"),
                ("ce_id", frame.encode()),
                ("ce_source", source.encode()),
                ("ce_type", FRAME_CAPTURED.encode()),
            ]
            sent[frame] = time.monotonic()
            await producer.send("frames", images[number % len(images)], key=camera.encode(), headers=headers)
    async with asyncio.timeout(60):
        await asyncio.gather(*tasks)
    counted = [str(number) for number in range(_WARM_UP, total)]
    latency = [(rows[frame] - sent[frame]) * 1000 for frame in counted]
    broker = [(echoed[frame] - sent[frame]) * 1000 for frame in counted]
    for name, share, goal in (("median", 0.5, "≤ 100 ms"), ("p99", 0.99, "≤ 300 ms")):
        report.add(
            Figure(
                f"frame to row at {RATE:.0f}/s, {name}",
                quantile(latency, share),
                "ms",
                quantile(broker, share),
                "ms broker alone",
                goal,
            )
        )
    where = "select stage, percentile_cont(0.5) within group (order by seconds::float) * 1000 from ("
    for stage, median in line.select(
        f"{where} select key as stage, value as seconds from inspection.inspections, jsonb_each_text(timings) "
        "where frame_source = %s) as stages group by stage order by stage",
        [source],
    ):
        report.add(Figure(f"  of it in detection: {stage}, median", float(median), "ms"))


async def _echo(bootstrap: str, source: str, total: int, seen: dict[str, float], ready: asyncio.Event) -> None:
    consumer = AIOKafkaConsumer("frames", bootstrap_servers=bootstrap, auto_offset_reset="latest")
    async with consumer:
        await consumer.seek_to_end()
        ready.set()
        while len(seen) < total:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                now = time.monotonic()
                for record in records:
                    headers = dict(record.headers)
                    if headers.get("ce_source") == source.encode():
                        seen[headers["ce_id"].decode()] = now


async def _read(postgres: str, source: str, total: int, rows: dict[str, float]) -> None:
    """Notes when each row can first be read: on every commit, and at least every 20 ms."""
    async with await psycopg.AsyncConnection.connect(postgres, autocommit=True) as connection:
        await connection.execute("listen vigia_inspections")
        last = 0
        while len(rows) < total:
            async for _ in connection.notifies(timeout=0.02, stop_after=1):
                pass
            found = await (
                await connection.execute(
                    "select stored_seq, frame_id from inspection.inspections "
                    "where frame_source = %s and stored_seq > %s",
                    [source, last],
                )
            ).fetchall()
            now = time.monotonic()
            for sequence, frame in found:
                rows.setdefault(frame, now)
                last = max(last, sequence)
