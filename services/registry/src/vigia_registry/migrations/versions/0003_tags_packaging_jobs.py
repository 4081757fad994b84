"""Tags in a table of their own, and packaging jobs.

Revision: 0003
After: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SCHEMA = "registry"
MOMENT = sa.DateTime(timezone=True)
NOW = sa.func.now()


def upgrade() -> None:
    op.create_table(
        "tags",
        sa.Column("resource_arn", sa.Text, nullable=False),
        sa.Column("key", sa.String(128), nullable=False),
        sa.Column("value", sa.String(256), nullable=False),
        sa.PrimaryKeyConstraint("resource_arn", "key", name="pk_tags"),
        schema=SCHEMA,
    )
    # The column stays for processes of the release before, which ask for it.
    op.execute(
        f"insert into {SCHEMA}.tags (resource_arn, key, value) "
        "select arn, tag ->> 'key', tag ->> 'value' "
        f"from {SCHEMA}.model_versions, jsonb_array_elements(tags) as tag"
    )
    op.create_table(
        "packaging_jobs",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("project_id", sa.Uuid, nullable=False),
        sa.Column("model_version_id", sa.Uuid),
        sa.Column("account_id", sa.String(12), nullable=False),
        sa.Column("region", sa.String(32), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("model_version", sa.Integer, nullable=False),
        sa.Column("description", sa.String(256)),
        sa.Column("configuration", postgresql.JSONB, nullable=False),
        sa.Column("component_name", sa.String(128), nullable=False),
        sa.Column("component_version", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("status_message", sa.Text, nullable=False, server_default=""),
        sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
        sa.Column("updated_at", MOMENT, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("id", name="pk_packaging_jobs"),
        sa.ForeignKeyConstraint(
            ["project_id"],
            [f"{SCHEMA}.projects.id"],
            name="fk_packaging_jobs_project_id_projects",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["model_version_id"],
            [f"{SCHEMA}.model_versions.id"],
            name="fk_packaging_jobs_model_version_id_model_versions",
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], [f"{SCHEMA}.accounts.id"], name="fk_packaging_jobs_account_id_accounts"
        ),
        sa.UniqueConstraint("project_id", "name", name="uq_packaging_jobs_project_id_name"),
        sa.CheckConstraint(
            "state in ('CREATED', 'RUNNING', 'SUCCEEDED', 'FAILED')", name=op.f("ck_packaging_jobs_state")
        ),
        schema=SCHEMA,
    )
    op.create_index("ix_packaging_jobs_model_version_id", "packaging_jobs", ["model_version_id"], schema=SCHEMA)
    op.create_index(
        "uq_packaging_jobs_component",
        "packaging_jobs",
        ["account_id", "region", "component_name", "component_version"],
        unique=True,
        schema=SCHEMA,
        postgresql_where=sa.text("state <> 'FAILED'"),
    )


def downgrade() -> None:
    op.drop_table("packaging_jobs", schema=SCHEMA)
    op.execute(
        f"update {SCHEMA}.model_versions m set tags = coalesce((select jsonb_agg(jsonb_build_object("
        f"'key', key, 'value', value)) from {SCHEMA}.tags t where t.resource_arn = m.arn), '[]')"
    )
    op.drop_table("tags", schema=SCHEMA)
