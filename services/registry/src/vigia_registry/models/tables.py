"""Model versions."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB

from vigia_registry.db import Moment, metadata
from vigia_registry.identity.tables import accounts
from vigia_registry.projects.tables import projects

model_versions = Table(
    "model_versions",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("arn", Text, nullable=False, unique=True),
    Column("project_id", ForeignKey(projects.c.id), nullable=False),
    Column("account_id", ForeignKey(accounts.c.id), nullable=False),
    Column("region", String(32), nullable=False),
    Column("version", Integer, nullable=False),
    # What customers call it; none in Lookout for Vision, where they say the number.
    Column("name", String(255)),
    # Of a copy: the ARN of the version that it was made from.
    Column("source_arn", Text),
    Column("state", String(16), nullable=False),
    Column("status_message", Text, nullable=False, server_default=""),
    Column("description", String(500)),
    Column("kms_key_id", Text),
    # Where tags were before they had a table; a process of the release before still asks for it.
    Column("tags", JSONB, nullable=False, server_default="[]"),
    # Where the customer wants the evaluation files: vigia_contracts.training.OutputLocation.
    Column("output", JSONB, nullable=False),
    # Snapshots of the datasets the version is trained and tested on: ObjectRef. Copies have none.
    Column("training_manifest", JSONB),
    Column("test_manifest", JSONB),
    # What training reports while it runs.
    Column("stage", Text),
    Column("progress", Float),
    Column("training_end", Moment),
    Column("attempt", Integer),
    # What training leaves behind: ObjectRef, vigia_vision manifest, vigia_contracts.training.ModelMetrics, ObjectRefs.
    Column("artifact", JSONB),
    Column("manifest", JSONB),
    Column("metrics", JSONB),
    Column("evaluation_manifest", JSONB),
    Column("evaluation_result", JSONB),
    Column("evaluation_ended_at", Moment),
    # In Custom Labels: the manifests that the customer named instead of datasets (GivenManifests), and what training
    # wrote about the manifests' lines (ManifestChecks) and about the images it learnt from (ObjectRef).
    Column("given", JSONB),
    Column("checks", JSONB),
    Column("training_snapshot", JSONB),
    Column("training_seconds", Float),
    Column("created_at", Moment, nullable=False, server_default=func.now()),
    Column("updated_at", Moment, nullable=False, server_default=func.now()),
    UniqueConstraint("project_id", "version"),
    UniqueConstraint("project_id", "name"),
    CheckConstraint(
        "state in ('TRAINING', 'TRAINED', 'TRAINING_FAILED', 'COPYING', 'COPYING_FAILED', 'DELETING')", name="state"
    ),
    Index("ix_model_versions_account_id_region_state", "account_id", "region", "state"),
)
