"""A training in a process of its own: it may be killed, run out of memory or block, and the worker goes on.

The child gets the request on its standard input and writes JSON lines on its standard output: progress, then one
outcome. Its input stays open as long as the worker lives; when it closes, the child ends itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from vigia_contracts.training import TrainingCompleted, TrainingFailed, TrainingRequest
from vigia_runtime.errors import Transient
from vigia_runtime.logging import get_logger
from vigia_training.app.job import Crashed, Outcome

log = get_logger(__name__)

_COMMAND = (sys.executable, "-m", "vigia_training.entrypoints.child")
#: A completed event carries the artifact's manifest.
_LINE_BYTES = 16 * 1024 * 1024


class ChildTrainer:
    """Runs each training in a child process that reads the same settings from the environment."""

    async def train(
        self, request: TrainingRequest, attempt: int, tell: Callable[[str, float], Awaitable[None]]
    ) -> Outcome:
        """See :class:`vigia_training.app.job.Trainer`."""
        started = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            *_COMMAND,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LINE_BYTES,
            # Threads that wait for each other sleep instead of spinning: on shared cores spinning doubles the time.
            env={"OMP_WAIT_POLICY": "PASSIVE", **os.environ},
        )
        assert process.stdin is not None
        assert process.stdout is not None
        final: dict[str, Any] = {}
        try:
            with contextlib.suppress(ConnectionError):
                process.stdin.write(request.to_json() + b"\n")
                await process.stdin.drain()
            async for line in process.stdout:
                message = json.loads(line)
                if message["kind"] == "progress":
                    await tell(message["stage"], message["fraction"])
                else:
                    final = message
            code = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return _outcome(request, attempt, final, code, time.monotonic() - started)


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
                failed_at=now,
            )
        case "transient":
            raise Transient(final["message"])
    log.error("a training ended without a result", model_arn=request.model_arn, attempt=attempt, code=code)
    raise Crashed(f"exit code {code}")
