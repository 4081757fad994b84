"""Accounts, projects, datasets, model versions, client tokens and the outbox.

Revision: 0001
After: nothing
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMA = "registry"
MOMENT = sa.DateTime(timezone=True)
NOW = sa.func.now()


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.String(12), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
        sa.CheckConstraint("id ~ '^[0-9]{12}$'", name=op.f("ck_accounts_id_has_12_digits")),
        schema=SCHEMA,
    )
    op.create_table(
        "access_keys",
        sa.Column("access_key_id", sa.String(128), nullable=False),
        sa.Column("account_id", sa.String(12), nullable=False),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("principal_arn", sa.Text, nullable=False),
        sa.Column("actions", postgresql.ARRAY(sa.Text), nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False, server_default=sa.true()),
        sa.Column("expires_at", MOMENT),
        sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("access_key_id", name="pk_access_keys"),
        sa.ForeignKeyConstraint(["account_id"], [f"{SCHEMA}.accounts.id"], name="fk_access_keys_account_id_accounts"),
        schema=SCHEMA,
    )
    op.create_index("ix_access_keys_account_id", "access_keys", ["account_id"], schema=SCHEMA)
    op.create_table(
        "projects",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("account_id", sa.String(12), nullable=False),
        sa.Column("region", sa.String(32), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("arn", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("next_version", sa.Integer, nullable=False, server_default="1"),
        sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("id", name="pk_projects"),
        sa.ForeignKeyConstraint(["account_id"], [f"{SCHEMA}.accounts.id"], name="fk_projects_account_id_accounts"),
        sa.UniqueConstraint("arn", name="uq_projects_arn"),
        sa.UniqueConstraint("account_id", "region", "name", name="uq_projects_account_id_region_name"),
        sa.CheckConstraint("state in ('ACTIVE', 'DELETING')", name=op.f("ck_projects_state")),
        schema=SCHEMA,
    )
    op.create_table(
        "datasets",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("project_id", sa.Uuid, nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("state", sa.String(40), nullable=False),
        sa.Column("status_message", sa.Text, nullable=False, server_default=""),
        sa.Column("source", postgresql.JSONB),
        sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
        sa.Column("updated_at", MOMENT, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("id", name="pk_datasets"),
        sa.ForeignKeyConstraint(["project_id"], [f"{SCHEMA}.projects.id"], name="fk_datasets_project_id_projects"),
        sa.UniqueConstraint("project_id", "kind", name="uq_datasets_project_id_kind"),
        sa.CheckConstraint("kind in ('train', 'test')", name=op.f("ck_datasets_kind")),
        schema=SCHEMA,
    )
    op.create_table(
        "dataset_entries",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("dataset_id", sa.Uuid, nullable=False),
        sa.Column("source_ref", sa.Text, nullable=False),
        sa.Column("line", sa.Text, nullable=False),
        sa.Column("class", sa.String(8)),
        sa.Column("labels", postgresql.ARRAY(sa.Text), nullable=False, server_default="{}"),
        sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("id", name="pk_dataset_entries"),
        sa.ForeignKeyConstraint(
            ["dataset_id"],
            [f"{SCHEMA}.datasets.id"],
            name="fk_dataset_entries_dataset_id_datasets",
            ondelete="CASCADE",
        ),
        sa.UniqueConstraint("dataset_id", "source_ref", name="uq_dataset_entries_dataset_id_source_ref"),
        sa.CheckConstraint("class in ('normal', 'anomaly')", name=op.f("ck_dataset_entries_class")),
        schema=SCHEMA,
    )
    op.create_index("ix_dataset_entries_dataset_id_id", "dataset_entries", ["dataset_id", "id"], schema=SCHEMA)
    op.create_table(
        "model_versions",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("arn", sa.Text, nullable=False),
        sa.Column("project_id", sa.Uuid, nullable=False),
        sa.Column("account_id", sa.String(12), nullable=False),
        sa.Column("region", sa.String(32), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("status_message", sa.Text, nullable=False, server_default=""),
        sa.Column("description", sa.String(500)),
        sa.Column("kms_key_id", sa.Text),
        sa.Column("tags", postgresql.JSONB, nullable=False, server_default="[]"),
        sa.Column("output", postgresql.JSONB, nullable=False),
        sa.Column("training_manifest", postgresql.JSONB, nullable=False),
        sa.Column("test_manifest", postgresql.JSONB),
        sa.Column("stage", sa.Text),
        sa.Column("progress", sa.Float),
        sa.Column("attempt", sa.Integer),
        sa.Column("artifact", postgresql.JSONB),
        sa.Column("manifest", postgresql.JSONB),
        sa.Column("metrics", postgresql.JSONB),
        sa.Column("evaluation_manifest", postgresql.JSONB),
        sa.Column("evaluation_result", postgresql.JSONB),
        sa.Column("evaluation_ended_at", MOMENT),
        sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
        sa.Column("updated_at", MOMENT, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("id", name="pk_model_versions"),
        sa.ForeignKeyConstraint(
            ["project_id"], [f"{SCHEMA}.projects.id"], name="fk_model_versions_project_id_projects"
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], [f"{SCHEMA}.accounts.id"], name="fk_model_versions_account_id_accounts"
        ),
        sa.UniqueConstraint("arn", name="uq_model_versions_arn"),
        sa.UniqueConstraint("project_id", "version", name="uq_model_versions_project_id_version"),
        sa.CheckConstraint(
            "state in ('TRAINING', 'TRAINED', 'TRAINING_FAILED', 'DELETING')", name=op.f("ck_model_versions_state")
        ),
        schema=SCHEMA,
    )
    op.create_index(
        "ix_model_versions_account_id_region_state",
        "model_versions",
        ["account_id", "region", "state"],
        schema=SCHEMA,
    )
    op.create_table(
        "client_tokens",
        sa.Column("account_id", sa.String(12), nullable=False),
        sa.Column("region", sa.String(32), nullable=False),
        sa.Column("operation", sa.String(64), nullable=False),
        sa.Column("token", sa.String(64), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("answer", postgresql.JSONB),
        sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("account_id", "region", "operation", "token", name="pk_client_tokens"),
        sa.ForeignKeyConstraint(
            ["account_id"], [f"{SCHEMA}.accounts.id"], name="fk_client_tokens_account_id_accounts"
        ),
        schema=SCHEMA,
    )
    op.create_index("ix_client_tokens_created_at", "client_tokens", ["created_at"], schema=SCHEMA)
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("shard", sa.SmallInteger, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("key", sa.LargeBinary, nullable=False),
        sa.Column("value", sa.LargeBinary),
        sa.Column("headers", postgresql.JSONB, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
        schema=SCHEMA,
    )
    op.create_index("outbox_shard_id", "outbox", ["shard", "id"], schema=SCHEMA)


def downgrade() -> None:
    for table in (
        "outbox",
        "client_tokens",
        "model_versions",
        "dataset_entries",
        "datasets",
        "projects",
        "access_keys",
        "accounts",
    ):
        op.drop_table(table, schema=SCHEMA)
