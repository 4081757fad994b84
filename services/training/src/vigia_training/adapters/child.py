"""A training in a process of its own: it may be killed, run out of memory or block, and the worker goes on.

The child gets the request on its standard input and writes JSON lines on its standard output: progress, then one
outcome. Its input stays open as long as the worker lives; when it closes, the child ends itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from vigia_contracts.training import TrainingCompleted, TrainingFailed, TrainingRequest
from vigia_runtime.errors import Transient
from vigia_runtime.logging import get_logger
from vigia_training.app.job import Crashed, Outcome
from vigia_training.domain.progress import Moment

log = get_logger(__name__)

_COMMAND = (sys.executable, "-m", "vigia_training.entrypoints.child")
#: A completed event carries the artifact's manifest.
_LINE_BYTES = 16 * 1024 * 1024


class ChildTrainer:
    """Runs each training in a child process that reads the same settings from the environment.

    With more ``processes`` the others help the first, each with a GPU of its own; they say nothing.
    """

    def __init__(self, processes: int = 1) -> None:
        self._processes = processes

    async def train(self, request: TrainingRequest, attempt: int, tell: Callable[[Moment], Awaitable[None]]) -> Outcome:
        """See :class:`vigia_training.app.job.Trainer`."""
        started = time.monotonic()
        port = _free_port() if self._processes > 1 else 0
        final: dict[str, Any] = {}
        children: list[Process] = []
        try:
            for rank in range(self._processes):
                children.append(await _start(request, rank, self._processes, port))
            leader = children[0]
            assert leader.stdout is not None
            async for line in leader.stdout:
                message = json.loads(line)
                if message["kind"] == "progress":
                    await tell(Moment(message["stage"], message["fraction"], message["remaining"]))
                else:
                    final = message
            code = await leader.wait()
        finally:
            for child in children:
                if child.returncode is None:
                    child.kill()
                await child.wait()
        return _outcome(request, attempt, final, code, time.monotonic() - started)


async def _start(request: TrainingRequest, rank: int, processes: int, port: int) -> Process:
    together = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "MASTER_PORT": port}
    meeting = {name: str(value) for name, value in together.items()} | {"MASTER_ADDR": "127.0.0.1"}
    process = await asyncio.create_subprocess_exec(
        *_COMMAND,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE if rank == 0 else asyncio.subprocess.DEVNULL,
        limit=_LINE_BYTES,
        # Threads that wait for each other sleep instead of spinning: on shared cores spinning doubles the time.
        env={"OMP_WAIT_POLICY": "PASSIVE", **os.environ, **(meeting if processes > 1 else {})},
    )
    assert process.stdin is not None
    with contextlib.suppress(ConnectionError):
        process.stdin.write(request.to_json() + b"\n")
        await process.stdin.drain()
    return process


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _outcome(request: TrainingRequest, attempt: int, final: dict[str, Any], code: int, seconds: float) -> Outcome:
    now = datetime.now(UTC)
    match final.get("kind"):
        case "completed":
            return TrainingCompleted(
                model_arn=request.model_arn, attempt=attempt, seconds=seconds, completed_at=now, **final["result"]
            )
        case "bad_data":
            return TrainingFailed(
                model_arn=request.model_arn,
                attempt=attempt,
                code="bad_data",
                message=final["message"][:2000],
                checks=final.get("checks"),
                failed_at=now,
            )
        case "transient":
            raise Transient(final["message"])
    log.error("a training ended without a result", model_arn=request.model_arn, attempt=attempt, code=code)
    raise Crashed(f"exit code {code}")
