"""Nothing is lost and nothing is doubled when a part goes away: Triton, the worker itself, or the frames."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import uuid
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from vigia_contracts.events import decode
from vigia_contracts.faults import Fault, FaultKind
from vigia_contracts.inspections import InvalidCause, Verdict
from vigia_contracts.topics import FAULTS
from vigia_detection.adapters.triton import TritonServers
from vigia_detection.adapters.vision import VisionThreads
from vigia_detection.app.ask import Asker
from vigia_detection.app.clock import Deadline, Stopwatch, SystemClock
from vigia_detection.app.judge import Judge
from vigia_detection.domain.outcome import Judged
from vigia_runtime import metrics
from vigia_stack.parts.triton import TritonPart
from vigia_stack.stack import Stack


@pytest.mark.slow
async def test_frames_wait_for_a_triton_that_was_killed(line: Any, kit: Any, tmp_path: Path) -> None:
    with Stack(["triton"], tmp_path / "triton") as stack:
        address = stack.part(TritonPart).addresses.grpc
        name = f"tiny-{uuid.uuid4().hex[:8]}"
        await kit.load(address, name)
        for camera, budget in (("patient", 120), ("hasty", 1)):
            await line.camera(camera, budget_seconds=budget, pass_evidence_share=0)
            await line.deploy(camera, name)
        good, bad = kit.picture(defect=False), kit.picture(defect=True)
        # Few at a time, so that frames which wait for their deadline do not hold up the others.
        with line.process("worker", TRITON__URLS=address, DECIDING__CONCURRENCY="64") as worker:
            await line.frame("patient", bad, "before")
            assert (await line.inspected("before"))[0].verdict is Verdict.REJECT

            killed = stack.status("triton").pid
            assert killed is not None
            os.killpg(killed, signal.SIGKILL)
            for number in range(20):
                await line.frame("patient", bad if number % 2 else good, f"waits-{number}")
                await line.frame("hasty", good, f"hurries-{number}")
            hurried = await line.inspected(*(f"hurries-{number}" for number in range(20)))
            assert {one.cause for one in hurried} == {InvalidCause.LATE}
            assert not any(one.frame_id.startswith("waits") for one in line.inspections)

            async def back() -> bool | None:
                try:
                    await kit.load(address, name)
                # Whatever the client says while the server is not there again.
                except Exception:
                    return None
                return True

            await kit.eventually(back, seconds=90)
            waited = await line.inspected(*(f"waits-{number}" for number in range(20)), seconds=60)
            assert [one.verdict for one in waited] == [Verdict.PASS, Verdict.REJECT] * 10
            assert worker.child.poll() is None
    for frame_id in [f"waits-{number}" for number in range(20)] + [f"hurries-{number}" for number in range(20)]:
        assert sum(one.frame_id == frame_id for one in line.inspections) == 1


@pytest.mark.slow
async def test_a_unit_that_died_costs_time_and_no_answer(kit: Any, tmp_path: Path) -> None:
    """One of two backend processes is killed while both are asked: the other one answers in its place."""
    with Stack(["triton"], tmp_path / "triton") as stack:
        address = stack.part(TritonPart).addresses.grpc
        await kit.load(address, "two", units=2)
        server = stack.status("triton").pid
        assert server is not None
        units = backends(server)
        if not units:
            pytest.skip("this Triton has no backend processes of its own")
        servers, vision, clock = TritonServers([address]), VisionThreads(2), SystemClock()
        judge = Judge(Asker(servers, vision, clock), vision)
        deployment = kit.hosted("two")
        refused = metrics.MODEL_SERVER_REFUSALS.labels("away")
        before = refused._value.get()

        async def judged(number: int) -> bool:
            image = kit.picture(defect=number % 2 == 1)
            found = await judge.judge(image, lambda: deployment, Deadline(clock, 10), Stopwatch(clock))
            assert isinstance(found.outcome, Judged), found.outcome
            return found.outcome.answer.is_anomalous is (number % 2 == 1)

        os.kill(units[0], signal.SIGKILL)
        for start in range(0, 12, 4):
            assert all(await asyncio.gather(*(judged(start + number) for number in range(4))))
        assert refused._value.get() > before, "nobody asked the dead one"
        await servers.close()
        vision.close()


def backends(server: int) -> list[int]:
    """The backend processes of that Triton; a server with a C++ backend has none."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == server and "backend_stub" in (entry / "cmdline").read_text():
                found.append(int(entry.name))
    return found


@pytest.mark.slow
async def test_a_worker_killed_in_the_middle_loses_and_doubles_nothing(line: Any, tiny: str, kit: Any) -> None:
    await line.camera("killed", budget_seconds=300, pass_evidence_share=0)
    await line.deploy("killed", tiny)
    image = kit.picture(defect=False)
    names = [f"kill-{number}" for number in range(300)]

    def seen() -> set[str]:
        return {one.frame_id for one in line.inspections if one.frame_id.startswith("kill-")}

    with line.process("worker") as first:
        sending = asyncio.gather(*(line.frame("killed", image, name) for name in names))
        await kit.eventually(lambda: True if len(seen()) >= 50 else None)
        first.kill()
        await sending
    assert len(seen()) < 300
    with line.process("worker"):
        await line.inspected(*names, seconds=60)
    ids: dict[str, set[str]] = {}
    for one in line.inspections:
        if one.frame_id in names:
            ids.setdefault(one.frame_id, set()).add(str(one.inspection_id))
            assert one.verdict is Verdict.PASS
    # A repeat carries the same id, by which whoever stores it stores it once.
    assert all(len(found) == 1 for found in ids.values())
    assert len(ids) == 300


@pytest.mark.slow
async def test_frames_that_expired_unread_are_counted_as_a_fault(line: Any, tiny: str, kit: Any) -> None:
    await line.camera("expires", budget_seconds=300)
    await line.deploy("expires", tiny)
    image = kit.picture(defect=False)
    with line.process("worker"):
        await line.frame("expires", image, "read")
        await line.inspected("read")
    sent = [await line.producer.send_and_wait(line.topic("frames"), key=b"expires", value=image) for _ in range(5)]
    partition = TopicPartition(line.topic("frames"), sent[0].partition)
    admin = AIOKafkaAdminClient(bootstrap_servers=line.kafka.bootstrap)
    await admin.start()
    await admin.delete_records({partition: RecordsToDelete(before_offset=sent[-1].offset + 1)})
    await admin.close()
    with line.process("worker"):
        await line.frame("expires", image, "after")
        await line.inspected("after")
        async for record in line.records(FAULTS):
            event = decode(
                FAULTS, key=record.key, value=record.value, headers=record.headers, timestamp_ms=record.timestamp
            )
            assert isinstance(event.data, Fault)
            assert event.data.kind is FaultKind.EXPIRED
            assert event.data.count == 5
            break
