"""Threshold records of model versions."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Double, ForeignKey, Integer, String, Table, Text, Uuid, func
from sqlalchemy.dialects.postgresql import JSONB

from vigia_registry.db import Moment, metadata
from vigia_registry.models.tables import model_versions

#: The record with the highest number decides. Of a version without rows, what training reported does
#: (``domain.training_record``); it becomes row 1 when a person adds the second.
thresholds = Table(
    "thresholds",
    metadata,
    Column("model_version_id", ForeignKey(model_versions.c.id, ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    # What inspections name it by.
    Column("threshold_id", Uuid, nullable=False),
    Column("value", Double, nullable=False),
    Column("review_low", Double),
    Column("review_high", Double),
    Column("source", String(8), nullable=False),
    # ARN of the caller; `training` where nobody was asked.
    Column("author", Text, nullable=False),
    Column("reason", Text, nullable=False),
    # domain.Prediction; null where the evaluation could not be read.
    Column("predicted", JSONB),
    Column("created_at", Moment, nullable=False, server_default=func.now()),
    CheckConstraint("number >= 1", name="number"),
    CheckConstraint("source in ('training', 'person')", name="source"),
    CheckConstraint(
        "source = 'training' or value > 0 and value < 1 and (review_low is null) = (review_high is null) "
        "and value between coalesce(review_low, 0) and coalesce(review_high, 1)",
        name="limits",
    ),
)
