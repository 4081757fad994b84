"""One signal, one budget, honest exit codes: tried on real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time

PROGRAM = """
import asyncio, sys
from vigia_runtime import lifecycle
from vigia_runtime.settings import ServiceSettings, SideSettings, service_config

lifecycle.BUDGET_SECONDS = 3.0

class Settings(ServiceSettings):
    model_config = service_config("sample")

async def main(life):
{body}

lifecycle.run(main, service="sample", settings=Settings(side=SideSettings(port=0)))
"""


def start(body: str) -> subprocess.Popen[str]:
    program = PROGRAM.format(body=textwrap.indent(textwrap.dedent(body), "    "))
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    # Byte by byte: what a buffer had read beyond the line, communicate() would not see.
    assert [os.read(process.stdout.fileno(), 1) for _ in "up\n"] == [b"u", b"p", b"\n"]
    return process


def test_a_signal_lets_work_finish_and_exits_0() -> None:
    process = start(
        """
        async def work():
            await life.stopping.wait()
            await asyncio.sleep(0.3)
            print("finished", life.health.ready()[0], 0 < life.remaining() < 3, flush=True)
        life.spawn("work", work())
        print("up", flush=True)
        await life.stopping.wait()
        """
    )
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=20)
    assert out == "finished False True\n"
    assert process.returncode == 0


def test_a_failed_task_stops_the_others_and_exits_1() -> None:
    process = start(
        """
        async def fail():
            raise ValueError("rtsp://u:hunter2@cam is broken")
        print("up", flush=True)
        life.spawn("bad", fail())
        await life.stopping.wait()
        print("main ended in order", flush=True)
        """
    )
    out, err = process.communicate(timeout=20)
    assert out == "main ended in order\n"
    assert process.returncode == 1
    assert '"task": "bad"' in err
    assert "hunter2" not in err


def test_what_does_not_finish_within_the_budget_is_cancelled() -> None:
    process = start(
        """
        async def stubborn():
            await asyncio.Event().wait()
        life.spawn("stubborn", stubborn())
        print("up", flush=True)
        await life.stopping.wait()
        """
    )
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert 2 < time.monotonic() - began < 10
    assert process.returncode == 0
    assert "stubborn" in err


def test_a_second_signal_exits_at_once() -> None:
    process = start(
        """
        print("up", flush=True)
        await life.stopping.wait()
        print("stopping", flush=True)
        await asyncio.Event().wait()
        """
    )
    process.send_signal(signal.SIGTERM)
    assert process.stdout is not None
    assert process.stdout.readline() == "stopping\n"
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert time.monotonic() - began < 2
    assert process.returncode == 128 + signal.SIGTERM


def test_main_that_ends_is_an_ordinary_end_and_main_that_raises_is_not() -> None:
    process = start('print("up", flush=True)')
    process.communicate(timeout=20)
    assert process.returncode == 0
    process = start('print("up", flush=True)\nraise RuntimeError("no")')
    process.communicate(timeout=20)
    assert process.returncode == 1
