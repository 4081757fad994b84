"""History, rollups, faults and cameras."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_UP = """
create sequence inspection.inspections_stored_seq;

create table inspection.inspections (
    inspection_id uuid not null,
    captured_at timestamptz not null,
    received_at timestamptz not null,
    decided_at timestamptz not null,
    stored_at timestamptz not null default clock_timestamp(),
    stored_seq bigint not null default nextval('inspection.inspections_stored_seq'),
    account_id text not null,
    camera_id text,
    line_id text,
    station text,
    product text,
    part_id text,
    project text,
    model_arn text,
    model_version text,
    frame_id text not null,
    frame_source text not null,
    origin text not null,
    shadow boolean not null,
    verdict text not null,
    cause text,
    detail text,
    is_anomalous boolean,
    confidence double precision,
    score double precision,
    threshold double precision,
    threshold_id text,
    width integer,
    height integer,
    labels jsonb not null,
    evidence jsonb not null,
    timings jsonb not null,
    constraint inspections_pkey primary key (inspection_id, captured_at),
    constraint inspections_verdict check (verdict in ('PASS', 'REJECT', 'REVIEW', 'INVALID'))
) partition by range (captured_at);

create index inspections_time on inspection.inspections (account_id, captured_at, inspection_id);
create index inspections_camera on inspection.inspections (account_id, camera_id, captured_at, inspection_id);
create index inspections_line on inspection.inspections (account_id, line_id, captured_at, inspection_id);
create index inspections_verdict_time on inspection.inspections (account_id, verdict, captured_at, inspection_id);
create index inspections_project on inspection.inspections (account_id, project, captured_at, inspection_id);
create index inspections_model on inspection.inspections (account_id, model_version, captured_at, inspection_id);
create index inspections_stored on inspection.inspections (account_id, stored_seq);

create function inspection.add_counts(a bigint[], b bigint[]) returns bigint[]
    language sql immutable parallel safe
    as $$ select array_agg(coalesce(x, 0) + coalesce(y, 0) order by i)
          from unnest(a, b) with ordinality as pair(x, y, i) $$;

create table inspection.rollups (
    resolution text not null,
    bucket timestamptz not null,
    account_id text not null,
    line_id text not null,
    camera_id text not null,
    product text not null,
    project text not null,
    model_version text not null,
    verdict text not null,
    cause text not null,
    shadow boolean not null,
    inspections bigint not null,
    scored bigint not null,
    score_sum double precision not null,
    latency_sum double precision not null,
    latency_counts bigint[] not null,
    last_captured_at timestamptz not null,
    constraint rollups_pkey primary key (
        resolution, bucket, account_id, line_id, camera_id, product, project, model_version, verdict, cause, shadow
    )
) with (fillfactor = 70);

create index rollups_account on inspection.rollups (account_id, resolution, bucket);
comment on column inspection.rollups.latency_sum is 'seconds from capture to decision';
comment on column inspection.rollups.latency_counts is 'rows per latency bucket, not cumulative';

create table inspection.faults (
    fault_id uuid primary key,
    account_id text not null,
    camera_id text not null,
    line_id text,
    kind text not null,
    cause text not null,
    started_at timestamptz not null,
    ended_at timestamptz,
    frames bigint not null,
    detail text
);

create index faults_time on inspection.faults (account_id, started_at, fault_id);
create index faults_camera on inspection.faults (account_id, camera_id, started_at, fault_id);
create index faults_open on inspection.faults (account_id, camera_id) where ended_at is null;

create table inspection.cameras (
    camera_id text primary key,
    account_id text not null,
    line_id text,
    station text,
    product text,
    project text,
    enabled boolean not null,
    revision bigint not null
);
"""

_DOWN = """
drop table inspection.cameras;
drop table inspection.faults;
drop table inspection.rollups;
drop function inspection.add_counts(bigint[], bigint[]);
drop table inspection.inspections;
drop sequence inspection.inspections_stored_seq;
"""


def upgrade() -> None:
    op.execute(_UP)


def downgrade() -> None:
    op.execute(_DOWN)
