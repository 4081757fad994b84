# ruff: noqa: N818  an error is named for what happened, the base classes say that it is one
"""One taxonomy of errors. The doors (HTTP, AWS JSON, Kafka) translate; nothing inside knows of them.

- :class:`AppError` and its kinds: what happened in the domain, expected, answered to the caller.
- :class:`BadMessage`: a message that can never be handled; it goes to the dead topic.
- :class:`Transient`: something outside is not answering; retried within a bound, then the process ends.
- anything else is a bug and ends the process.

Texts are scrubbed of credentials when the error is made, so that no log, answer or traceback can leak them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vigia_runtime.redaction import scrub


class AppError(Exception):
    """Something a caller must be told. ``code`` is stable and short, ``details`` JSON-ready, ``retryable`` advice."""

    def __init__(
        self, code: str, message: str, details: Mapping[str, Any] | None = None, *, retryable: bool = False
    ) -> None:
        self.code = code
        self.message = scrub(message)
        self.details: dict[str, Any] = dict(details or {})
        self.retryable = retryable
        super().__init__(self.message)


class NotFound(AppError):
    """The thing named does not exist."""


class Conflict(AppError):
    """The thing's present state forbids the request."""


class InvalidInput(AppError):
    """The request breaks a rule; ``details`` says which."""


class LimitExceeded(AppError):
    """A quota or a size is exceeded."""


class AccessDenied(AppError):
    """The caller is known and may not do this, or is not known."""


class Unavailable(AppError):
    """The service cannot answer now."""

    def __init__(
        self, code: str, message: str, details: Mapping[str, Any] | None = None, *, retryable: bool = True
    ) -> None:
        super().__init__(code, message, details, retryable=retryable)


class BadMessage(Exception):
    """A message that breaks its contract or the domain's rules, whenever it is tried."""

    def __init__(self, code: str, detail: str) -> None:
        self.code = code
        self.detail = scrub(detail)
        super().__init__(f"{code}: {self.detail}")


class Transient(Exception):
    """Broker, database, Triton or object store does not answer now; the same call may work later."""

    def __init__(self, detail: str) -> None:
        self.detail = scrub(detail)
        super().__init__(self.detail)
