"""What a real Triton says when it cannot answer, and what is made of it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from vigia_detection.adapters.triton import TritonServers
from vigia_detection.app.errors import ModelAway, ModelBusy, ModelFailed, ModelLate
from vigia_stack.parts.triton import TritonAddress

DARK = np.zeros((16, 16, 3), np.uint8)


@pytest.fixture
async def servers(triton: TritonAddress) -> AsyncIterator[TritonServers]:
    one = TritonServers([triton.grpc])
    yield one
    await one.close()


async def slow_queue(kit: Any, address: str, **policy: Any) -> str:
    """A model whose queue holds every request for three seconds, hoping for a fuller batch."""
    name = f"slow-{uuid.uuid4().hex[:8]}"
    await kit.load(address, name, max_queue_delay_microseconds=3_000_000, default_queue_policy=policy)
    return name


async def test_an_answer_comes_without_its_batch_axis(servers: TritonServers, tiny: str, kit: Any) -> None:
    await servers.probe()
    outputs = await servers.infer(tiny, kit.manifest(), np.full((16, 16, 3), 255, np.uint8), 10)
    assert outputs["score"].shape == (1,)
    assert outputs["score"][0] == pytest.approx(1)
    assert outputs["maps"].shape == (1, 16, 16)


async def test_a_tensor_of_another_shape_is_the_models_failure(servers: TritonServers, tiny: str, kit: Any) -> None:
    with pytest.raises(ModelFailed):
        await servers.infer(tiny, kit.manifest(), np.zeros((8, 8, 3), np.uint8), 10)


async def test_a_model_that_is_not_loaded_is_away(servers: TritonServers, kit: Any) -> None:
    with pytest.raises(ModelAway):
        await servers.infer("never-loaded", kit.manifest(), DARK, 10)


async def test_a_server_that_is_not_there_is_away(kit: Any) -> None:
    nobody = TritonServers([f"127.0.0.1:{kit.free_port()}"])
    with pytest.raises(ModelAway):
        await nobody.infer("any", kit.manifest(), DARK, 10)
    await nobody.close()


async def test_another_server_answers_for_one_that_is_not_there(triton: TritonAddress, tiny: str, kit: Any) -> None:
    both = TritonServers([f"127.0.0.1:{kit.free_port()}", triton.grpc])
    for _ in range(4):
        assert await both.infer(tiny, kit.manifest(), DARK, 10)
    await both.close()


async def test_a_full_queue_is_busy(triton: TritonAddress, servers: TritonServers, kit: Any) -> None:
    name = await slow_queue(kit, triton.grpc, max_queue_size=1)
    asked = await asyncio.gather(
        *(servers.infer(name, kit.manifest(), DARK, 10) for _ in range(6)), return_exceptions=True
    )
    refused = [one for one in asked if isinstance(one, BaseException)]
    assert refused
    assert all(isinstance(one, ModelBusy) for one in refused)
    assert len(refused) < 6


async def test_a_request_dropped_from_the_queue_is_busy(
    triton: TritonAddress, servers: TritonServers, kit: Any
) -> None:
    name = await slow_queue(kit, triton.grpc, timeout_action="REJECT", default_timeout_microseconds=50_000)
    with pytest.raises(ModelBusy):
        await servers.infer(name, kit.manifest(), DARK, 10)


async def test_no_answer_within_the_time_given_is_late(triton: TritonAddress, servers: TritonServers, kit: Any) -> None:
    name = await slow_queue(kit, triton.grpc)
    with pytest.raises(ModelLate):
        await servers.infer(name, kit.manifest(), DARK, 0.2)
