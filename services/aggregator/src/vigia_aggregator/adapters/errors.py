"""Which errors of Postgres and Kafka pass by themselves, and which lie in the data."""

from __future__ import annotations

import psycopg
from sqlalchemy.exc import DBAPIError

from vigia_runtime.errors import Transient
from vigia_runtime.postgres import transient


def passes(error: BaseException) -> bool:
    """True for faults outside that the same call may survive later."""
    return isinstance(error, Transient) or transient(error)


def unstorable(error: BaseException) -> bool:
    """True when Postgres refuses a value: out of range, not valid in its encoding, against a constraint."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return isinstance(cause, psycopg.DataError | psycopg.IntegrityError)
