"""Structured logs: one JSON object a line (or a console line), secrets scrubbed, library logs included.

Levels: debug for the flow of single frames, info for changes of state, warning for handled trouble, error where
somebody must act.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

from vigia_runtime.redaction import redact_url, scrub_value
from vigia_runtime.settings import LogSettings

__all__ = ["configure", "get_logger", "redact_url"]

#: Libraries that report every reconnect attempt as an error; the runtime reports the outage itself, once.
_CHATTY = {"aiokafka": logging.CRITICAL, "httpx": logging.WARNING, "uvicorn.access": logging.WARNING}


def redact(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """structlog processor: no secret leaves in any field, the formatted traceback included."""
    return {key: scrub_value(key, value) for key, value in event.items()}


def configure(service: str, settings: LogSettings, stream: TextIO | None = None) -> None:
    """Install logging for this process. Repeated calls replace the former configuration."""
    out = stream if stream is not None else sys.stderr
    level = logging.getLevelNamesMapping()[settings.level.upper()]

    def add_service(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event.setdefault("service", service)
        return event

    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        add_service,
        redact,
    ]
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=out.isatty())
        if settings.format == "console"
        else structlog.processors.JSONRenderer(default=str)
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name, least in _CHATTY.items():
        logging.getLogger(name).setLevel(max(least, level))


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of a module: ``log = get_logger(__name__)``; ``log.info("what", key=value)``."""
    return structlog.stdlib.get_logger(name)
