"""Projects."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, ForeignKey, Integer, String, Table, Text, UniqueConstraint, Uuid, func

from vigia_registry.db import Moment, metadata
from vigia_registry.identity.tables import accounts

projects = Table(
    "projects",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("account_id", ForeignKey(accounts.c.id), nullable=False),
    Column("region", String(32), nullable=False),
    # Each of the two services has names of its own.
    Column("service", String(16), nullable=False, server_default="lookoutvision"),
    Column("name", String(255), nullable=False),
    Column("arn", Text, nullable=False, unique=True),
    Column("state", String(16), nullable=False),
    # The number the next model version gets. Numbers are never used twice, also after a version was deleted.
    Column("next_version", Integer, nullable=False, server_default="1"),
    Column("created_at", Moment, nullable=False, server_default=func.now()),
    UniqueConstraint("account_id", "region", "service", "name"),
    CheckConstraint("state in ('ACTIVE', 'DELETING')", name="state"),
    CheckConstraint("service in ('lookoutvision', 'rekognition')", name="service"),
)
