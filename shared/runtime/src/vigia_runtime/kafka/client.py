"""What every Kafka client of the product has in common."""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import (
    AuthenticationFailedError,
    KafkaError,
    RecordTooLargeError,
    UnsupportedVersionError,
)
from aiokafka.helpers import create_ssl_context

from vigia_runtime.logging import get_logger
from vigia_runtime.settings import KafkaSettings

log = get_logger(__name__)

#: The cluster's metadata is read again this often, so that a new topic or leader is found without an error first.
METADATA_MAX_AGE_MS = 10_000
REQUEST_TIMEOUT_MS = 15_000
CLOSE_SECONDS = 5.0
#: Above the largest record of any topic, its headers included.
MAX_RECORD_BYTES = 2 * 1024 * 1024


def connection(settings: KafkaSettings, client_id: str) -> dict[str, Any]:
    """Keyword arguments for any aiokafka client."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap,
        "client_id": client_id,
        "metadata_max_age_ms": METADATA_MAX_AGE_MS,
        "request_timeout_ms": REQUEST_TIMEOUT_MS,
        "security_protocol": settings.security,
    }
    if settings.security.endswith("SSL"):
        options["ssl_context"] = create_ssl_context(cafile=str(settings.ca_path) if settings.ca_path else None)
    if settings.security.startswith("SASL"):
        options["sasl_mechanism"] = settings.sasl_mechanism
        options["sasl_plain_username"] = settings.username
        options["sasl_plain_password"] = settings.password.get_secret_value() if settings.password else None
    return options


def prefixed(settings: KafkaSettings, name: str) -> str:
    """A topic's or group's name on the cluster."""
    return f"{settings.topic_prefix}{name}"


async def close(consumer: AIOKafkaConsumer) -> None:
    """Stop a consumer, within a bound: a broker that is away must not hold up the end of a process."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await consumer.stop()
    except (KafkaError, OSError, TimeoutError) as error:
        log.warning("consumer did not stop in order", error=type(error).__name__)


_PERMANENT = (RecordTooLargeError, AuthenticationFailedError, UnsupportedVersionError)


def is_transient(error: KafkaError) -> bool:
    """Whether the same request may work later."""
    return not isinstance(error, _PERMANENT)
