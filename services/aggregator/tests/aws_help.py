"""CloudWatch and CloudTrail: clients of the running app, and an hour of calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError

NAMESPACE = "AWS/LookoutVision"
#: The whole hour before this one: every metric's rows of it are complete.
HOUR = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)

Client = Callable[..., Any]


async def ask(operation: Callable[..., Any], **given: Any) -> Any:
    return await asyncio.to_thread(partial(operation, **given))


async def refusal(operation: Callable[..., Any], **given: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        await ask(operation, **given)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def at(minute: float, **more: Any) -> dict[str, Any]:
    return {"called_at": HOUR + timedelta(minutes=minute), **more}
