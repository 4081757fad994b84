"""Accounts, and the keys that sign for them."""

from __future__ import annotations

from sqlalchemy import Boolean, CheckConstraint, Column, ForeignKey, LargeBinary, String, Table, Text, func, true
from sqlalchemy.dialects.postgresql import ARRAY

from vigia_registry.db import Moment, metadata

accounts = Table(
    "accounts",
    metadata,
    Column("id", String(12), primary_key=True),
    Column("created_at", Moment, nullable=False, server_default=func.now()),
    CheckConstraint("id ~ '^[0-9]{12}$'", name="id_has_12_digits"),
)

access_keys = Table(
    "access_keys",
    metadata,
    Column("access_key_id", String(128), primary_key=True),
    Column("account_id", ForeignKey(accounts.c.id), nullable=False, index=True),
    # SigV4 needs the secret in clear to verify a signature, so it is encrypted and not hashed.
    Column("secret", LargeBinary, nullable=False),
    Column("principal_arn", Text, nullable=False),
    Column("actions", ARRAY(Text), nullable=False),
    Column("enabled", Boolean, nullable=False, server_default=true()),
    Column("expires_at", Moment),
    Column("created_at", Moment, nullable=False, server_default=func.now()),
)
