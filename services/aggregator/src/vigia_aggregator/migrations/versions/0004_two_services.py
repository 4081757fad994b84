"""Samples of two services, whose projects may have the same name; of one of them also by operation."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_UP = """
alter table inspection.samples
    add column service text not null default 'lookoutvision',
    add column operation text not null default '';
alter table inspection.samples
    drop constraint samples_pkey,
    add constraint samples_pkey primary key
        (resolution, account_id, region, service, project, model_version, operation, metric, bucket);
"""

_DOWN = """
delete from inspection.samples where service <> 'lookoutvision';
alter table inspection.samples
    drop constraint samples_pkey,
    drop column service,
    drop column operation,
    add constraint samples_pkey primary key
        (resolution, account_id, region, project, model_version, metric, bucket);
"""


def upgrade() -> None:
    op.execute(_UP)


def downgrade() -> None:
    op.execute(_DOWN)
