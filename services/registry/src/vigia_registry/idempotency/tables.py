"""Client tokens and the answers they got."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, String, Table, func
from sqlalchemy.dialects.postgresql import JSONB

from vigia_registry.db import Moment, metadata
from vigia_registry.identity.tables import accounts

client_tokens = Table(
    "client_tokens",
    metadata,
    Column("account_id", ForeignKey(accounts.c.id), primary_key=True),
    Column("region", String(32), primary_key=True),
    Column("operation", String(64), primary_key=True),
    Column("token", String(64), primary_key=True),
    # SHA-256 (hex) of the parameters that came with the token.
    Column("fingerprint", String(64), nullable=False),
    # Nothing only inside the transaction that does the work.
    Column("answer", JSONB),
    Column("created_at", Moment, nullable=False, server_default=func.now()),
    Index("ix_client_tokens_created_at", "created_at"),
)
