"""A second protocol on the same projects, datasets and model versions.

Revision: 0010
After: 0009
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

SCHEMA = "registry"

_STATES = "state in ('TRAINING', 'TRAINED', 'TRAINING_FAILED', 'DELETING'{more})"


def upgrade() -> None:
    op.add_column(
        "projects", sa.Column("service", sa.String(16), nullable=False, server_default="lookoutvision"), schema=SCHEMA
    )
    op.create_check_constraint(
        op.f("ck_projects_service"), "projects", "service in ('lookoutvision', 'rekognition')", schema=SCHEMA
    )
    op.drop_constraint(op.f("uq_projects_account_id_region_name"), "projects", schema=SCHEMA)
    op.create_unique_constraint(
        op.f("uq_projects_account_id_region_service_name"),
        "projects",
        ["account_id", "region", "service", "name"],
        schema=SCHEMA,
    )
    for column in (
        sa.Column("name", sa.String(255)),
        sa.Column("source_arn", sa.Text),
        sa.Column("given", JSONB),
        sa.Column("checks", JSONB),
        sa.Column("training_snapshot", JSONB),
        sa.Column("training_seconds", sa.Float),
    ):
        op.add_column("model_versions", column, schema=SCHEMA)
    op.create_unique_constraint(
        op.f("uq_model_versions_project_id_name"), "model_versions", ["project_id", "name"], schema=SCHEMA
    )
    op.alter_column("model_versions", "training_manifest", nullable=True, schema=SCHEMA)
    _states(", 'COPYING', 'COPYING_FAILED'")
    for column in (sa.Column("fault", sa.String(16)), sa.Column("stats", JSONB)):
        op.add_column("datasets", column, schema=SCHEMA)
    for column in (
        sa.Column("box_labels", ARRAY(sa.Text), nullable=False, server_default="{}"),
        sa.Column("labeled", sa.Boolean),
        sa.Column("errors", JSONB),
    ):
        op.add_column("dataset_entries", column, schema=SCHEMA)
    op.create_table(
        "project_policies",
        sa.Column("project_id", sa.Uuid, sa.ForeignKey(f"{SCHEMA}.projects.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("name", sa.String(128), primary_key=True),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("revision_id", sa.String(64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        schema=SCHEMA,
    )


def downgrade() -> None:
    op.drop_table("project_policies", schema=SCHEMA)
    for name in ("box_labels", "labeled", "errors"):
        op.drop_column("dataset_entries", name, schema=SCHEMA)
    for name in ("stats", "fault"):
        op.drop_column("datasets", name, schema=SCHEMA)
    _states("")
    op.alter_column("model_versions", "training_manifest", nullable=False, schema=SCHEMA)
    op.drop_constraint(op.f("uq_model_versions_project_id_name"), "model_versions", schema=SCHEMA)
    for name in ("name", "source_arn", "given", "checks", "training_snapshot", "training_seconds"):
        op.drop_column("model_versions", name, schema=SCHEMA)
    op.drop_constraint(op.f("uq_projects_account_id_region_service_name"), "projects", schema=SCHEMA)
    op.create_unique_constraint(
        op.f("uq_projects_account_id_region_name"), "projects", ["account_id", "region", "name"], schema=SCHEMA
    )
    op.drop_constraint(op.f("ck_projects_service"), "projects", schema=SCHEMA)
    op.drop_column("projects", "service", schema=SCHEMA)


def _states(more: str) -> None:
    op.drop_constraint(op.f("ck_model_versions_state"), "model_versions", schema=SCHEMA)
    op.create_check_constraint(
        op.f("ck_model_versions_state"), "model_versions", _STATES.format(more=more), schema=SCHEMA
    )
