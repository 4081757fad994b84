"""Packaging jobs."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from vigia_registry.db import Moment, metadata
from vigia_registry.identity.tables import accounts
from vigia_registry.models.tables import model_versions
from vigia_registry.projects.tables import projects

packaging_jobs = Table(
    "packaging_jobs",
    metadata,
    Column("id", Uuid, primary_key=True),
    # Jobs tell what was made, also of versions that are gone; they go with their project.
    Column("project_id", ForeignKey(projects.c.id, ondelete="CASCADE"), nullable=False),
    Column("model_version_id", ForeignKey(model_versions.c.id, ondelete="SET NULL")),
    Column("account_id", ForeignKey(accounts.c.id), nullable=False),
    Column("region", String(32), nullable=False),
    Column("name", String(64), nullable=False),
    Column("model_version", Integer, nullable=False),
    Column("description", String(256)),
    # vigia_registry.packaging.domain.Configuration.
    Column("configuration", JSONB, nullable=False),
    Column("component_name", String(128), nullable=False),
    Column("component_version", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("status_message", Text, nullable=False, server_default=""),
    Column("created_at", Moment, nullable=False, server_default=func.now()),
    Column("updated_at", Moment, nullable=False, server_default=func.now()),
    UniqueConstraint("project_id", "name"),
    CheckConstraint("state in ('CREATED', 'RUNNING', 'SUCCEEDED', 'FAILED')", name="state"),
    Index("ix_packaging_jobs_model_version_id", "model_version_id"),
    # A component is there once, also when two jobs ask for it at the same moment. What failed made none.
    Index(
        "uq_packaging_jobs_component",
        "account_id",
        "region",
        "component_name",
        "component_version",
        unique=True,
        postgresql_where=text("state <> 'FAILED'"),
    ),
)
