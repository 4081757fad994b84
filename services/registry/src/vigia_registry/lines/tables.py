"""Lines."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, String, Table, func

from vigia_registry.db import Moment, metadata
from vigia_registry.identity.tables import accounts

lines = Table(
    "lines",
    metadata,
    Column("account_id", ForeignKey(accounts.c.id), primary_key=True),
    Column("region", String(32), primary_key=True),
    Column("line_id", String(128), primary_key=True),
    Column("description", String(500), nullable=False, server_default=""),
    Column("created_at", Moment, nullable=False, server_default=func.now()),
)
