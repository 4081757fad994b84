"""Trial detections and their images.

Revision: 0004
After: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SCHEMA = "registry"
MOMENT = sa.DateTime(timezone=True)
NOW = sa.func.now()


def upgrade() -> None:
    op.create_table(
        "trials",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("project_id", sa.Uuid, nullable=False),
        sa.Column("model_version_id", sa.Uuid),
        sa.Column("model_version", sa.Integer, nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("source", sa.String(8), nullable=False),
        sa.Column("bucket", sa.Text, nullable=False),
        sa.Column("prefix", sa.Text, nullable=False, server_default=""),
        sa.Column("kms_key_id", sa.Text),
        sa.Column("labels", postgresql.JSONB, nullable=False, server_default="[]"),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("status_message", sa.Text, nullable=False, server_default=""),
        sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
        sa.Column("started_at", MOMENT),
        sa.Column("ended_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_trials"),
        sa.ForeignKeyConstraint(["project_id"], [f"{SCHEMA}.projects.id"], name="fk_trials_project_id_projects"),
        sa.ForeignKeyConstraint(
            ["model_version_id"],
            [f"{SCHEMA}.model_versions.id"],
            name="fk_trials_model_version_id_model_versions",
            ondelete="SET NULL",
        ),
        sa.UniqueConstraint("project_id", "name", name="uq_trials_project_id_name"),
        sa.CheckConstraint("source in ('folder', 'images', 'upload')", name=op.f("ck_trials_source")),
        sa.CheckConstraint(
            "state in ('created', 'in_progress', 'complete', 'failed')", name=op.f("ck_trials_state")
        ),
        schema=SCHEMA,
    )
    op.create_index(
        "ix_trials_project_id_created_at_id", "trials", ["project_id", "created_at", "id"], schema=SCHEMA
    )
    op.create_index("ix_trials_model_version_id", "trials", ["model_version_id"], schema=SCHEMA)
    op.create_table(
        "trial_images",
        sa.Column("trial_id", sa.Uuid, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("state", sa.String(8), nullable=False, server_default="waiting"),
        sa.Column("error", sa.String(16)),
        sa.Column("detail", sa.Text),
        sa.Column("width", sa.Integer),
        sa.Column("height", sa.Integer),
        sa.Column("prediction", sa.String(8)),
        sa.Column("confidence", sa.Float),
        sa.Column("score", sa.Float),
        sa.Column("areas", postgresql.JSONB, nullable=False, server_default="[]"),
        sa.Column("labels", postgresql.ARRAY(sa.Text), nullable=False, server_default="{}"),
        sa.Column("judged_at", MOMENT),
        sa.Column("verification", sa.String(10), nullable=False, server_default="unverified"),
        sa.Column("corrected_class", sa.String(8)),
        sa.Column("corrected_labels", postgresql.ARRAY(sa.Text)),
        sa.Column("verified_at", MOMENT),
        sa.Column("dataset_ref", sa.Text),
        sa.PrimaryKeyConstraint("trial_id", "number", name="pk_trial_images"),
        sa.ForeignKeyConstraint(
            ["trial_id"], [f"{SCHEMA}.trials.id"], name="fk_trial_images_trial_id_trials", ondelete="CASCADE"
        ),
        sa.UniqueConstraint("trial_id", "name", name="uq_trial_images_trial_id_name"),
        sa.CheckConstraint("state in ('waiting', 'judged', 'failed')", name=op.f("ck_trial_images_state")),
        sa.CheckConstraint(
            "verification in ('unverified', 'correct', 'incorrect')", name=op.f("ck_trial_images_verification")
        ),
        sa.CheckConstraint("prediction in ('normal', 'anomaly')", name=op.f("ck_trial_images_prediction")),
        sa.CheckConstraint("corrected_class in ('normal', 'anomaly')", name=op.f("ck_trial_images_corrected_class")),
        schema=SCHEMA,
    )


def downgrade() -> None:
    for table in ("trial_images", "trials"):
        op.drop_table(table, schema=SCHEMA)
