"""Project policies."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, String, Table, Text, Uuid, func

from vigia_registry.db import Moment, metadata
from vigia_registry.projects.tables import projects

project_policies = Table(
    "project_policies",
    metadata,
    Column("project_id", Uuid, ForeignKey(projects.c.id, ondelete="CASCADE"), primary_key=True),
    Column("name", String(128), primary_key=True),
    Column("document", Text, nullable=False),
    # Changes with every change of the document.
    Column("revision_id", String(64), nullable=False),
    Column("created_at", Moment, nullable=False, server_default=func.now()),
    Column("updated_at", Moment, nullable=False, server_default=func.now()),
)
