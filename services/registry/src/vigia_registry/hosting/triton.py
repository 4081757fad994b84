"""One Triton: what it has loaded, loads and unloads, and inferences of golden samples. gRPC, explicit model control."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import InferInput, InferRequestedOutput
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from vigia_registry.hosting.scaling import Tally
from vigia_runtime.errors import Transient
from vigia_vision import Manifest

#: Bytes of the largest model file that a load request may carry.
MAX_LOAD_BYTES = 2**31 - 1
_QUICK_SECONDS = 3.0
_UNREACHABLE = ("failed to connect", "connection", "socket closed", "recvmsg", "goaway", "dns")
#: How Triton says that it is too busy to take a request, which is no sign of a broken model.
_BUSY = ("exceeds maximum queue size", "request timeout expired")


class ModelError(Exception):
    """Triton is there and refused: a load that failed, a model that does not answer. ``str()`` is Triton's reason."""


class ModelBusy(Exception):  # noqa: N818 - it need not be an error of the model
    """No answer came in time, or the model's queue refused the request."""


class Triton:
    """A client of one server. Transient is raised whenever the server itself does not answer."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._client = InferenceServerClient(
            address,
            channel_args=[
                ("grpc.max_send_message_length", MAX_LOAD_BYTES),
                ("grpc.max_receive_message_length", MAX_LOAD_BYTES),
                # A server that was restarted must be found again in a second, not after gRPC's two minutes.
                ("grpc.initial_reconnect_backoff_ms", 100),
                ("grpc.max_reconnect_backoff_ms", 1000),
            ],
        )

    async def close(self) -> None:
        """Close the channel."""
        await self._client.close()

    async def loaded(self) -> dict[str, Tally]:
        """Every model that is loaded, with what was counted since.

        From the statistics: the repository index does not list a model whose files came with the load request.
        """
        answer = await self._ask(self._client.get_inference_statistics(client_timeout=_QUICK_SECONDS))
        return {model.name: _tally(model) for model in answer.model_stats}

    async def instances(self, name: str) -> tuple[int, int]:
        """Units (per device) and renewal that a loaded model was configured with; ModelError when it is not loaded."""
        answer = await self._ask(self._client.get_model_config(name, client_timeout=_QUICK_SECONDS))
        groups = answer.config.instance_group
        return (groups[0].count, groups[0].rate_limiter.priority) if groups else (0, 0)

    async def load(self, name: str, config: str, files: Mapping[str, bytes], timeout: float) -> None:
        """Load, or load again over itself; returns when it serves. ModelError with Triton's reason."""
        call = self._client.load_model(name, config=config, files=dict(files), client_timeout=timeout)
        await self._ask(call, late=ModelError(f"not loaded within {timeout:g} s"))

    async def unload(self, name: str, timeout: float) -> None:
        """Unload and wait until it is gone; requests under way are answered first."""
        late = ModelError(f"not unloaded within {timeout:g} s")
        await self._ask(self._client.unload_model(name, client_timeout=timeout), late=late)
        try:
            async with asyncio.timeout(timeout):
                while name in await self.loaded():  # noqa: ASYNC110 - Triton tells nobody, it must be asked
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise late from None

    async def infer(
        self, name: str, manifest: Manifest, tensor: NDArray[np.uint8], timeout: float, copies: int = 1
    ) -> dict[str, NDArray[np.float32]]:
        """The outputs for one tensor ``[H, W, 3]``, without batch axis; it is sent ``copies`` times in one request.

        ModelError, ModelBusy.
        """
        image = InferInput(manifest.input.tensor, [copies, *tensor.shape], "UINT8")
        image.set_data_from_numpy(np.repeat(tensor[None], copies, axis=0))
        names = [spec.name for spec in manifest.outputs]
        call = self._client.infer(
            name, [image], outputs=[InferRequestedOutput(output) for output in names], client_timeout=timeout
        )
        answer = await self._ask(call, late=ModelBusy(f"no answer within {timeout:g} s"))
        return {output: answer.as_numpy(output)[0] for output in names}

    async def _ask(self, call: Awaitable[Any], late: Exception | None = None) -> Any:
        """Await ``call`` and sort its failure: the way to the server, the model's queue, the model itself.

        ``late`` is what a missing answer means; by default that the server is not there.
        """
        try:
            return await call
        except InferenceServerException as error:
            text, status = str(error.message()), str(error.status())
            if any(sign in text.lower() for sign in _BUSY):
                raise ModelBusy(text) from error
            if "DEADLINE_EXCEEDED" in status:
                raise late or Transient(f"Triton {self.address} does not answer in time") from error
            if "UNAVAILABLE" in status and _connection(error):
                raise Transient(f"Triton {self.address} cannot be reached") from error
            raise ModelError(text) from error


def _tally(model: Any) -> Tally:
    counted = model.inference_stats
    # Of a batch the time counts once here, and once for each of its requests in inference_stats.
    busy = sum(batch.compute_input.ns + batch.compute_infer.ns + batch.compute_output.ns for batch in model.batch_stats)
    return Tally(int(counted.success.count), int(counted.fail.count), counted.queue.ns / 1e9, busy / 1e9)


def _connection(error: InferenceServerException) -> bool:
    """Whether the error comes from the way to the server and not from the server."""
    text = f"{error.message()} {error.debug_details()}".lower()
    return any(sign in text for sign in _UNREACHABLE)
