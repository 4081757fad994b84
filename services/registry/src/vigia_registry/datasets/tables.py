"""Datasets and their entries."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from vigia_registry.db import Moment, metadata
from vigia_registry.projects.tables import projects

datasets = Table(
    "datasets",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("project_id", ForeignKey(projects.c.id), nullable=False),
    Column("kind", String(8), nullable=False),
    Column("state", String(40), nullable=False),
    Column("status_message", Text, nullable=False, server_default=""),
    # Whose fault a failure is, for Custom Labels: SERVICE_ERROR or CLIENT_ERROR; nothing after a success.
    Column("fault", String(16)),
    # Where the import under way, or the last one, reads from: an ObjectRef, or the id of another dataset.
    Column("source", JSONB),
    # Of Custom Labels: what the entries are, counted when they last changed, for clients ask again and again.
    Column("stats", JSONB),
    Column("created_at", Moment, nullable=False, server_default=func.now()),
    Column("updated_at", Moment, nullable=False, server_default=func.now()),
    UniqueConstraint("project_id", "kind"),
    CheckConstraint("kind in ('train', 'test')", name="kind"),
)

dataset_entries = Table(
    "dataset_entries",
    metadata,
    # Order of import; an updated entry keeps its place.
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("dataset_id", ForeignKey(datasets.c.id, ondelete="CASCADE"), nullable=False),
    Column("source_ref", Text, nullable=False),
    Column("line", Text, nullable=False),
    # normal, anomaly, or nothing: an image that nobody has classified.
    Column("class", String(8)),
    # Anomaly labels that the entry's mask declares.
    Column("labels", ARRAY(Text), nullable=False, server_default="{}"),
    # In Custom Labels, whose entries have no class, ``labels`` are those of the whole image; of its boxes these, each
    # once; whether somebody labelled it at all; and what is wrong with the line: codes, messages, places.
    Column("box_labels", ARRAY(Text), nullable=False, server_default="{}"),
    Column("labeled", Boolean),
    Column("errors", JSONB),
    Column("created_at", Moment, nullable=False, server_default=func.now()),
    UniqueConstraint("dataset_id", "source_ref"),
    Index("ix_dataset_entries_dataset_id_id", "dataset_id", "id"),
    CheckConstraint("class in ('normal', 'anomaly')", name="class"),
)
