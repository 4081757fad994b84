"""The child process of one training; started by the worker, see ``adapters/child.py``."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from vigia_contracts.training import TrainingRequest
from vigia_runtime.errors import Transient
from vigia_runtime.logging import configure, get_logger
from vigia_runtime.objects import ObjectStore
from vigia_runtime.settings import load
from vigia_training.adapters.checkpoints import ObjectCheckpoints
from vigia_training.adapters.machine import machine
from vigia_training.adapters.storage import reader, store_checks, store_result, task_of
from vigia_training.app.any_kind import train_any
from vigia_training.app.custom_labels import train_custom_labels
from vigia_training.app.preflight import preflight, preflight_datasets
from vigia_training.app.train import Result
from vigia_training.app.validation import CheckFiles, datasets_of
from vigia_training.domain.errors import BadData
from vigia_training.domain.estimate import Estimate
from vigia_training.domain.progress import Moment, Pace
from vigia_training.entrypoints.options import options_of
from vigia_training.learning import parallel
from vigia_training.learning.parallel import Followed
from vigia_training.settings import Settings

log = get_logger(__name__)

#: Progress is told this often at most (and at every new stage), seconds.
_EVERY = 1.0
#: What storing the artifact is expected to take, seconds.
_UPLOAD = 2.0


def main() -> None:
    """Reads a request, trains, writes the outcome; exit 0 whenever there is one."""
    settings = load(Settings)
    configure("training", settings.log)  # to the standard error: what is printed is an answer to the worker
    request = TrainingRequest.model_validate_json(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    checks: dict[str, Any] = {}  # told of whatever comes after them
    try:
        with tempfile.TemporaryDirectory(prefix="vigia-training-") as folder:
            result = asyncio.run(_run(settings, request, checks, Path(folder)))
        _say("completed", result={**result, **checks})
    except BadData as error:
        _say("bad_data", message=str(error), **checks)
    except Transient as error:
        _say("transient", message=error.detail)
    except Followed:
        pass


async def _run(settings: Settings, request: TrainingRequest, checks: dict[str, Any], folder: Path) -> dict[str, Any]:
    store = ObjectStore(settings.objects)
    loop = asyncio.get_running_loop()
    options = options_of(settings.learning, ObjectCheckpoints(store, request, loop))
    limits = settings.manifests.limits
    custom = request.service == "rekognition"
    task = await task_of(store, request, limits, folder)
    read = reader(store, loop, limits.image_bytes if custom else None)
    tell = _Throttle()

    def keep(files: CheckFiles) -> None:
        if not parallel.rank():
            kept = asyncio.run_coroutine_threadsafe(store_checks(store, request, files), loop).result()
            checks["checks"] = kept.model_dump(exclude_none=True)

    def training() -> Result:
        here, seconds = machine(Path(tempfile.gettempdir())), settings.learning.hours * 3600
        leads = not parallel.rank()
        if custom:
            datasets = datasets_of(task, limits)
            estimate = preflight_datasets(datasets, read, options, here, seconds) if leads else None
            return train_custom_labels(task, datasets, read, options, limits, pace(estimate), keep)
        estimate = preflight(task, read, options, here, seconds) if leads else None
        return train_any(task, read, options, pace(estimate))

    def pace(estimate: Estimate | None) -> Pace:
        log.info("training estimated", model_arn=task.arn, takes=str(estimate))
        return Pace({**(estimate.stages if estimate else {}), "uploading": _UPLOAD}, tell)

    result = await asyncio.to_thread(training)
    tell(Moment("uploading", 1.0, 0.0))
    stored = await store_result(store, request, result)
    refs = {name: getattr(stored, name) for name in ("artifact", "evaluation_manifest", "evaluation_result")}
    if stored.training_snapshot is not None:
        refs["training_snapshot"] = stored.training_snapshot
    return {
        **{name: ref.model_dump(exclude_none=True) for name, ref in refs.items()},
        "manifest": result.artifact.manifest.model_dump(mode="json"),
        "metrics": result.metrics.model_dump(),
    }


class _Throttle:
    def __init__(self) -> None:
        self._stage, self._at = "", 0.0

    def __call__(self, moment: Moment) -> None:
        now = time.monotonic()
        if moment.stage != self._stage or now - self._at >= _EVERY:
            self._stage, self._at = moment.stage, now
            _say(
                "progress", stage=moment.stage, fraction=round(moment.fraction, 4), remaining=round(moment.remaining, 1)
            )


def _say(kind: str, **fields: Any) -> None:
    print(json.dumps({"kind": kind, **fields}), flush=True)


def _end_with_parent() -> None:
    """A worker that was killed cannot end its child; the child sees the pipe close."""
    sys.stdin.read()
    os._exit(3)


if __name__ == "__main__":
    main()
