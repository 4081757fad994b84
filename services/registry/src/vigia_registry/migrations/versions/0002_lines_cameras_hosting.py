"""Lines, cameras, hosting and its announcements.

Revision: 0002
After: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SCHEMA = "registry"
MOMENT = sa.DateTime(timezone=True)
NOW = sa.func.now()


def upgrade() -> None:
    op.execute(sa.schema.CreateSequence(sa.Sequence("revisions", schema=SCHEMA)))
    op.create_table(
        "lines",
        sa.Column("account_id", sa.String(12), nullable=False),
        sa.Column("region", sa.String(32), nullable=False),
        sa.Column("line_id", sa.String(128), nullable=False),
        sa.Column("description", sa.String(500), nullable=False, server_default=""),
        sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("account_id", "region", "line_id", name="pk_lines"),
        sa.ForeignKeyConstraint(["account_id"], [f"{SCHEMA}.accounts.id"], name="fk_lines_account_id_accounts"),
        schema=SCHEMA,
    )
    op.create_table(
        "cameras",
        sa.Column("camera_id", sa.String(128), nullable=False),
        sa.Column("account_id", sa.String(12), nullable=False),
        sa.Column("region", sa.String(32), nullable=False),
        sa.Column("line_id", sa.String(128)),
        sa.Column("station", sa.String(128)),
        sa.Column("product", sa.String(128)),
        sa.Column("project", sa.String(255)),
        sa.Column("model_version", sa.Integer),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("source", postgresql.JSONB, nullable=False),
        sa.Column("policy", postgresql.JSONB, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
        sa.Column("updated_at", MOMENT, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("camera_id", name="pk_cameras"),
        sa.ForeignKeyConstraint(["account_id"], [f"{SCHEMA}.accounts.id"], name="fk_cameras_account_id_accounts"),
        sa.ForeignKeyConstraint(
            ["account_id", "region", "line_id"],
            [f"{SCHEMA}.lines.account_id", f"{SCHEMA}.lines.region", f"{SCHEMA}.lines.line_id"],
            name="fk_cameras_account_id_region_line_id_lines",
        ),
        schema=SCHEMA,
    )
    op.create_index(
        "ix_cameras_account_id_region_camera_id", "cameras", ["account_id", "region", "camera_id"], schema=SCHEMA
    )
    op.create_index(
        "ix_cameras_account_id_region_project", "cameras", ["account_id", "region", "project"], schema=SCHEMA
    )
    op.create_table(
        "hostings",
        sa.Column("model_version_id", sa.Uuid, nullable=False),
        sa.Column("desired", sa.String(8), nullable=False),
        sa.Column("min_units", sa.Integer, nullable=False),
        sa.Column("max_units", sa.Integer),
        sa.Column("observed", sa.String(8), nullable=False, server_default="absent"),
        sa.Column("reason", sa.Text),
        sa.Column("in_service_units", sa.Integer, nullable=False, server_default="0"),
        sa.Column("generation", sa.Integer, nullable=False, server_default="1"),
        sa.Column("triton_model", sa.Text),
        sa.Column("revision", sa.BigInteger, nullable=False, server_default="1"),
        sa.Column("observed_at", MOMENT, nullable=False, server_default=NOW),
        sa.Column("updated_at", MOMENT, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("model_version_id", name="pk_hostings"),
        sa.ForeignKeyConstraint(
            ["model_version_id"],
            [f"{SCHEMA}.model_versions.id"],
            name="fk_hostings_model_version_id_model_versions",
            ondelete="CASCADE",
        ),
        sa.CheckConstraint("desired in ('none', 'hosted')", name=op.f("ck_hostings_desired")),
        sa.CheckConstraint(
            "observed in ('absent', 'loading', 'serving', 'failed', 'draining')", name=op.f("ck_hostings_observed")
        ),
        sa.CheckConstraint(
            "min_units >= 1 and (max_units is null or max_units >= min_units)", name=op.f("ck_hostings_units")
        ),
        schema=SCHEMA,
    )
    op.create_table(
        "sightings",
        sa.Column("model_version_id", sa.Uuid, nullable=False),
        sa.Column("triton", sa.Text, nullable=False),
        sa.Column("report", sa.String(8), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("model_version_id", "triton", name="pk_sightings"),
        sa.ForeignKeyConstraint(
            ["model_version_id"],
            [f"{SCHEMA}.hostings.model_version_id"],
            name="fk_sightings_model_version_id_hostings",
            ondelete="CASCADE",
        ),
        schema=SCHEMA,
    )
    op.create_table(
        "announcements",
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("model_arn", sa.Text, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("announced_at", MOMENT, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("key", name="pk_announcements"),
        schema=SCHEMA,
    )


def downgrade() -> None:
    for table in ("announcements", "sightings", "hostings", "cameras", "lines"):
        op.drop_table(table, schema=SCHEMA)
    op.execute(sa.schema.DropSequence(sa.Sequence("revisions", schema=SCHEMA)))
