"""What every Kafka client of the product has in common."""

from __future__ import annotations

from typing import Any

from aiokafka.errors import (
    AuthenticationFailedError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordTooLargeError,
    UnsupportedVersionError,
)
from aiokafka.helpers import create_ssl_context

from vigia_runtime.settings import KafkaSettings

#: The cluster's metadata is read again this often, so that a new topic or leader is found without an error first.
METADATA_MAX_AGE_MS = 10_000
REQUEST_TIMEOUT_MS = 15_000
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


_PERMANENT = (RecordTooLargeError, MessageSizeTooLargeError, AuthenticationFailedError, UnsupportedVersionError)


def is_transient(error: KafkaError) -> bool:
    """Whether the same request may work later."""
    return not isinstance(error, _PERMANENT)
