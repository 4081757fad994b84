"""Trial detections and their images."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from vigia_registry.db import Moment, metadata
from vigia_registry.models.tables import model_versions
from vigia_registry.projects.tables import projects

trials = Table(
    "trials",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("project_id", ForeignKey(projects.c.id), nullable=False),
    # A trial outlives the version that it tried out.
    Column("model_version_id", ForeignKey(model_versions.c.id, ondelete="SET NULL")),
    Column("model_version", Integer, nullable=False),
    Column("name", String(255), nullable=False),
    Column("source", String(8), nullable=False),
    Column("bucket", Text, nullable=False),
    Column("prefix", Text, nullable=False, server_default=""),
    Column("kms_key_id", Text),
    # That masks may have: [{"name": …, "color": "#RRGGBB"}].
    Column("labels", JSONB, nullable=False, server_default="[]"),
    Column("state", String(16), nullable=False),
    Column("status_message", Text, nullable=False, server_default=""),
    Column("created_at", Moment, nullable=False, server_default=func.now()),
    Column("started_at", Moment),
    Column("ended_at", Moment),
    UniqueConstraint("project_id", "name"),
    CheckConstraint("source in ('folder', 'images', 'upload')", name="source"),
    CheckConstraint("state in ('created', 'in_progress', 'complete', 'failed')", name="state"),
    Index("ix_trials_project_id_created_at_id", "project_id", "created_at", "id"),
    Index("ix_trials_model_version_id", "model_version_id"),
)

trial_images = Table(
    "trial_images",
    metadata,
    Column("trial_id", ForeignKey(trials.c.id, ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("state", String(8), nullable=False, server_default="waiting"),
    Column("error", String(16)),
    Column("detail", Text),
    Column("width", Integer),
    Column("height", Integer),
    Column("prediction", String(8)),
    Column("confidence", Float),
    Column("score", Float),
    # What the model found: [{"name": …, "area": …, "color": …}], and the names alone.
    Column("areas", JSONB, nullable=False, server_default="[]"),
    Column("labels", ARRAY(Text), nullable=False, server_default="{}"),
    Column("judged_at", Moment),
    Column("verification", String(10), nullable=False, server_default="unverified"),
    Column("corrected_class", String(8)),
    # Labels of the corrected mask; null without one.
    Column("corrected_labels", ARRAY(Text)),
    Column("verified_at", Moment),
    # The source-ref under which the image, as it is verified now, was given to the dataset.
    Column("dataset_ref", Text),
    PrimaryKeyConstraint("trial_id", "number"),
    UniqueConstraint("trial_id", "name"),
    CheckConstraint("state in ('waiting', 'judged', 'failed')", name="state"),
    CheckConstraint("verification in ('unverified', 'correct', 'incorrect')", name="verification"),
    CheckConstraint("prediction in ('normal', 'anomaly')", name="prediction"),
    CheckConstraint("corrected_class in ('normal', 'anomaly')", name="corrected_class"),
)
