"""Triton over gRPC: one channel per server, the least busy one first, the others when it is away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from tritonclient.utils import InferenceServerException

from vigia_detection.app.errors import ModelAway, ModelBusy, ModelFailed, ModelLate
from vigia_detection.app.ports import Outputs, Pixels
from vigia_runtime import metrics
from vigia_runtime.errors import Transient
from vigia_vision.manifest import Manifest

#: A server that could not be reached is asked last for this long.
_REST_SECONDS: Final = 0.5
#: Largest message either way, bytes: a tensor at the model's input size, or its maps.
_MAX_MESSAGE: Final = 64 * 1024 * 1024
#: These replace the library's own arguments. gRPC's default back-off grows to two minutes; a restart takes seconds.
_CHANNEL: Final = (
    ("grpc.max_send_message_length", _MAX_MESSAGE),
    ("grpc.max_receive_message_length", _MAX_MESSAGE),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # A channel of its own: gRPC shares sub-channels, and with them their back-off, among equal channels.
    ("grpc.use_local_subchannel_pool", 1),
)

#: Triton says "queue full" and "dropped from the queue" with the same status as "not there"; the text differs.
_BUSY_WORDS: Final = ("maximum queue size", "request timeout expired", "rate limit")
#: The last is what a unit says whose backend process died: another one may answer, or this one once it is replaced.
_AWAY_WORDS: Final = ("unknown model", "is not ready", "is not found", "no available versions", "is not healthy")

_ENDS: Final = {ModelBusy: "busy", ModelAway: "away", ModelLate: "late", ModelFailed: "failed"}


@dataclass(slots=True)
class _Server:
    url: str
    client: Any
    in_flight: int = 0
    resting_until: float = field(default=0.0)

    def rank(self, now: float) -> tuple[bool, int]:
        return (now < self.resting_until, self.in_flight)


class TritonServers:
    """The model servers of ``urls`` (host:port of gRPC). Every server is asked for any model; state is theirs."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._servers = [
            _Server(url, triton_aio.InferenceServerClient(url=url, channel_args=list(_CHANNEL))) for url in urls
        ]
        self._turn = 0

    async def close(self) -> None:
        """Close the channels."""
        await asyncio.gather(*(server.client.close() for server in self._servers))

    async def probe(self) -> None:
        """Readiness: at least one server answers. Transient otherwise."""
        for server in self._servers:
            try:
                if await server.client.is_server_live(client_timeout=2.0):
                    return
            except InferenceServerException:
                continue
        raise Transient("no model server answers")

    async def infer(self, model: str, manifest: Manifest, tensor: Pixels, seconds: float) -> Outputs:
        """The manifest's outputs of ``model`` for ``tensor`` uint8 [H,W,3], each without its batch axis.

        Tries every server once, the least busy first, within ``seconds`` in all. ModelFailed: it answered with an
        error. ModelBusy: all that can be reached refused. ModelAway: none can be reached or has the model. ModelLate.
        """
        end = time.monotonic() + seconds
        request = triton.InferInput(manifest.input.tensor, [1, *tensor.shape], "UINT8")
        request.set_data_from_numpy(tensor[np.newaxis])
        names = [spec.name for spec in manifest.outputs]
        wanted = [triton.InferRequestedOutput(name) for name in names]
        refusal: ModelBusy | ModelAway | None = None
        for server in self._in_order():
            left = end - time.monotonic()
            if left <= 0:
                raise ModelLate(f"no answer within {seconds:.3f} s")
            server.in_flight += 1
            try:
                result = await server.client.infer(model, [request], outputs=wanted, client_timeout=left)
            except InferenceServerException as error:
                fault = _fault(error, seconds)
                metrics.MODEL_SERVER_REFUSALS.labels(_ENDS[type(fault)]).inc()
                if isinstance(fault, ModelAway):
                    server.resting_until = time.monotonic() + _REST_SECONDS
                    refusal = refusal or fault
                elif isinstance(fault, ModelBusy):
                    refusal = fault
                else:
                    raise fault from error
            else:
                return {name: _array(result, name) for name in names}
            finally:
                server.in_flight -= 1
        raise refusal or ModelAway("there is no model server")

    def _in_order(self) -> list[_Server]:
        # Rotated first, so that equally busy servers take turns (sorting is stable).
        self._turn = (self._turn + 1) % len(self._servers)
        now = time.monotonic()
        return sorted(self._servers[self._turn :] + self._servers[: self._turn], key=lambda server: server.rank(now))


def _fault(error: InferenceServerException, seconds: float) -> ModelBusy | ModelAway | ModelLate | ModelFailed:
    status = str(error.status() or "").removeprefix("StatusCode.")
    message = str(error.message() or "")
    text = message.lower()
    if status == "DEADLINE_EXCEEDED":
        return ModelLate(f"no answer within {seconds:.3f} s")
    if any(words in text for words in _BUSY_WORDS):
        return ModelBusy(message)
    if status in ("UNAVAILABLE", "NOT_FOUND", "CANCELLED") or any(words in text for words in _AWAY_WORDS):
        return ModelAway(message)
    return ModelFailed(f"{status}: {message}")


def _array(result: Any, name: str) -> np.ndarray[Any, Any]:
    """One output without its batch axis; ModelFailed when the answer lacks it or is not a batch of one."""
    array: np.ndarray[Any, Any] | None = result.as_numpy(name)
    if array is None or array.ndim < 1 or array.shape[0] != 1:
        raise ModelFailed(f"the answer's output {name!r} is no batch of one")
    one: np.ndarray[Any, Any] = array[0]
    return one
