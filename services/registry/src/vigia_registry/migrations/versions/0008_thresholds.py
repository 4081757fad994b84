"""Threshold records of model versions.

Revision: 0008
After: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

SCHEMA = "registry"


def upgrade() -> None:
    op.create_table(
        "thresholds",
        sa.Column("model_version_id", sa.Uuid, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("threshold_id", sa.Uuid, nullable=False),
        sa.Column("value", sa.Double, nullable=False),
        sa.Column("review_low", sa.Double),
        sa.Column("review_high", sa.Double),
        sa.Column("source", sa.String(8), nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("predicted", postgresql.JSONB),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("model_version_id", "number", name="pk_thresholds"),
        sa.ForeignKeyConstraint(
            ["model_version_id"],
            [f"{SCHEMA}.model_versions.id"],
            name="fk_thresholds_model_version_id_model_versions",
            ondelete="CASCADE",
        ),
        sa.CheckConstraint("number >= 1", name=op.f("ck_thresholds_number")),
        sa.CheckConstraint("source in ('training', 'person')", name=op.f("ck_thresholds_source")),
        sa.CheckConstraint(
            "source = 'training' or value > 0 and value < 1 and (review_low is null) = (review_high is null) "
            "and value between coalesce(review_low, 0) and coalesce(review_high, 1)",
            name=op.f("ck_thresholds_limits"),
        ),
        schema=SCHEMA,
    )


def downgrade() -> None:
    op.drop_table("thresholds", schema=SCHEMA)
