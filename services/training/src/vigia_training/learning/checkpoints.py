"""What is learnt so far, kept so that a training whose process ends goes on from there.

A state is plain data: tensors, numbers and texts in dicts and lists. It is stored with what it belongs to and a digest;
one that is damaged, or belongs to other data, settings or code, is left aside with a line in the log.
"""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from vigia_runtime.errors import AppError, Transient
from vigia_runtime.logging import get_logger
from vigia_training.learning import parallel

log = get_logger(__name__)

State = dict[str, Any]

#: How often a state is kept, seconds; what a death costs at most.
EVERY = 30.0
#: A larger one is not kept: writing it would cost more than it saves.
MOST_BYTES = 256 * 1024 * 1024
_DIGEST = 32


#: What changes while something is learnt.
Part = nn.Module | torch.optim.Optimizer | torch.optim.lr_scheduler.LRScheduler


class Store(Protocol):
    """Where states lie, by name. What is put is there whole or not at all."""

    def get(self, name: str) -> bytes | None: ...

    def put(self, name: str, data: bytes) -> None: ...


@dataclass(eq=False)
class Checkpoints:
    """States of one training. Without a ``store`` nothing is kept; ``key`` says what they belong to."""

    store: Store | None = None
    key: str = ""
    every: float = EVERY
    clock: Callable[[], float] = time.monotonic
    _kept: dict[str, float] = field(default_factory=dict)

    def of(self, key: str) -> Checkpoints:
        """The same, of the training that ``key`` tells apart from all others."""
        return replace(self, key=key, _kept={})

    def resume(self, name: str, parts: Mapping[str, Part], rng: np.random.Generator) -> int:
        """Brings ``parts`` and the random numbers to where ``keep`` left them; steps done then, 0 without a state."""
        if self.store is None:
            return 0
        self._kept[name] = self.clock()
        state = self._load(name)
        if state is None:
            return 0
        for part, held in parts.items():
            held.load_state_dict(state["parts"][part])
        if parallel.rank() == 0:  # the others of several processes draw anew: only the first one's state is kept
            rng.bit_generator.state = json.loads(state["rng"])
            torch.set_rng_state(state["torch_rng"])
        steps: int = state["steps"]
        log.info("training goes on from a checkpoint", checkpoint=name, steps=steps)
        return steps

    def keep(self, name: str, parts: Mapping[str, Part], random: Mapping[str, Any], steps: int, whole: int) -> None:
        """Keeps where the learning is after ``steps`` of the ``whole``, if it is time for it or it has ended.

        ``random``: the state of the random numbers from which the next step draws. A store that fails is logged.
        """
        due = steps == whole or self.clock() - self._kept.get(name, 0.0) >= self.every
        if self.store is None or parallel.rank() or not due:
            return
        state = {
            "parts": {part: held.state_dict() for part, held in parts.items()},
            "rng": json.dumps(random),
            "torch_rng": torch.get_rng_state(),
            "steps": steps,
        }
        file = io.BytesIO()
        torch.save(state, file)
        data = file.getvalue()
        if len(data) > MOST_BYTES:
            log.info("checkpoint not kept", checkpoint=name, reason=f"{len(data)} bytes; at most {MOST_BYTES} are")
        else:
            try:
                self.store.put(name, self._seal(data) + data)
            except (OSError, AppError, Transient) as error:
                log.warning("checkpoint not kept", checkpoint=name, reason=str(error))
        self._kept[name] = self.clock()

    def _load(self, name: str) -> State | None:
        assert self.store is not None
        try:
            data = self.store.get(name)
        except (OSError, AppError, Transient) as error:
            log.warning("checkpoint not read", checkpoint=name, reason=str(error))
            return None
        if data is None:
            return None
        if data[:_DIGEST] != self._seal(data[_DIGEST:]):
            log.warning("checkpoint left aside", checkpoint=name, reason="it is damaged, or of another training")
            return None
        state: State = torch.load(io.BytesIO(data[_DIGEST:]), map_location="cpu", weights_only=True)
        return state

    def _seal(self, data: bytes) -> bytes:
        return hashlib.sha256(self.key.encode() + b"\0" + data).digest()


#: Of a training that keeps nothing.
NONE = Checkpoints()
