"""Calls, and the samples that CloudWatch metrics are made of."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_UP = """
create table inspection.calls (
    event_id uuid not null,
    called_at timestamptz not null,
    stored_at timestamptz not null default clock_timestamp(),
    account_id text not null,
    region text not null,
    source text not null,
    name text not null,
    read_only boolean not null,
    username text not null,
    access_key_id text not null,
    resources jsonb not null,
    project text,
    model_version text,
    outcome text not null,
    error_code text,
    duration_ms double precision not null,
    images_processed integer not null,
    images_invalid integer not null,
    anomalies integer not null,
    record jsonb not null,
    constraint calls_pkey primary key (event_id, called_at)
) partition by range (called_at);

create index calls_time on inspection.calls (account_id, called_at, event_id);
create index calls_name on inspection.calls (account_id, name, called_at, event_id);
create index calls_user on inspection.calls (account_id, username, called_at, event_id);
create index calls_key on inspection.calls (account_id, access_key_id, called_at, event_id);
create index calls_resources on inspection.calls using gin (resources jsonb_path_ops);

create table inspection.samples (
    resolution text not null,
    bucket timestamptz not null,
    account_id text not null,
    region text not null,
    project text not null,
    model_version text not null,
    metric text not null,
    samples bigint not null,
    sum double precision not null,
    minimum double precision not null,
    maximum double precision not null,
    last_at timestamptz not null,
    constraint samples_pkey primary key (resolution, account_id, region, project, model_version, metric, bucket)
) with (fillfactor = 70);

create index samples_age on inspection.samples (resolution, last_at);
"""

_DOWN = """
drop table inspection.samples;
drop table inspection.calls;
"""


def upgrade() -> None:
    op.execute(_UP)


def downgrade() -> None:
    op.execute(_DOWN)
