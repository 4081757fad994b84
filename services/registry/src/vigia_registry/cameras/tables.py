"""Cameras."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Table,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB

from vigia_registry.db import Moment, metadata
from vigia_registry.identity.tables import accounts
from vigia_registry.lines.tables import lines

cameras = Table(
    "cameras",
    metadata,
    # Unique in the installation, not only in the account: it is the key of frames and announcements.
    Column("camera_id", String(128), primary_key=True),
    Column("account_id", ForeignKey(accounts.c.id), nullable=False),
    Column("region", String(32), nullable=False),
    Column("line_id", String(128)),
    Column("station", String(128)),
    Column("product", String(128)),
    # By name and not by id: a project that is deleted and created again is judged by again.
    Column("project", String(255)),
    # The model version that judges, whether it is hosted or not; none: the newest that is.
    Column("model_version", Integer),
    Column("enabled", Boolean, nullable=False),
    # vigia_contracts.cameras.Source, with the credentials in its URL: readable to whoever may read this table.
    Column("source", JSONB, nullable=False),
    Column("policy", JSONB, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("created_at", Moment, nullable=False, server_default=func.now()),
    Column("updated_at", Moment, nullable=False, server_default=func.now()),
    ForeignKeyConstraint(["account_id", "region", "line_id"], [lines.c.account_id, lines.c.region, lines.c.line_id]),
    Index("ix_cameras_account_id_region_camera_id", "account_id", "region", "camera_id"),
    Index("ix_cameras_account_id_region_project", "account_id", "region", "project"),
)
