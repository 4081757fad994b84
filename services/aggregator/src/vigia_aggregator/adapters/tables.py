"""The tables of schema ``inspection``. Migrations create them; a test holds both against each other."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Sequence,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

SCHEMA: Final = "inspection"
#: Channel on which a writer tells that rows were committed.
CHANNEL: Final = "vigia_inspections"

metadata = MetaData(schema=SCHEMA)
_TIME = DateTime(timezone=True)

#: Position of a row in the order of commits: writers hold one lock from taking it until the commit.
stored_sequence = Sequence("inspections_stored_seq", metadata=metadata, schema=SCHEMA)

# A row is one frame's outcome. The id alone would be the key, but a partitioned table's key must contain the
# partition column; the writer sees to it that an id with another capture time is not stored again.
inspections = Table(
    "inspections",
    metadata,
    Column("inspection_id", Uuid, nullable=False),
    Column("captured_at", _TIME, nullable=False),
    Column("received_at", _TIME, nullable=False),
    Column("decided_at", _TIME, nullable=False),
    Column("stored_at", _TIME, nullable=False, server_default=text("clock_timestamp()")),
    Column("stored_seq", BigInteger, nullable=False, server_default=stored_sequence.next_value()),
    Column("account_id", Text, nullable=False),
    Column("camera_id", Text),
    Column("line_id", Text),
    Column("station", Text),
    Column("product", Text),
    Column("part_id", Text),
    Column("project", Text),
    Column("model_arn", Text),
    Column("model_version", Text),
    Column("frame_id", Text, nullable=False),
    Column("frame_source", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("shadow", Boolean, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("cause", Text),
    Column("detail", Text),
    Column("is_anomalous", Boolean),
    Column("confidence", Double),
    Column("score", Double),
    Column("threshold", Double),
    Column("threshold_id", Text),
    Column("width", Integer),
    Column("height", Integer),
    Column("labels", JSONB, nullable=False),
    Column("evidence", JSONB, nullable=False),
    Column("timings", JSONB, nullable=False),
    PrimaryKeyConstraint("inspection_id", "captured_at", name="inspections_pkey"),
    CheckConstraint("verdict in ('PASS', 'REJECT', 'REVIEW', 'INVALID')", name="inspections_verdict"),
    # Every listing is one account's, newest first; the id breaks ties, so that a cursor is exact.
    Index("inspections_time", "account_id", "captured_at", "inspection_id"),
    Index("inspections_camera", "account_id", "camera_id", "captured_at", "inspection_id"),
    Index("inspections_line", "account_id", "line_id", "captured_at", "inspection_id"),
    Index("inspections_verdict_time", "account_id", "verdict", "captured_at", "inspection_id"),
    Index("inspections_project", "account_id", "project", "captured_at", "inspection_id"),
    Index("inspections_model", "account_id", "model_version", "captured_at", "inspection_id"),
    Index("inspections_stored", "account_id", "stored_seq"),
    postgresql_partition_by="RANGE (captured_at)",
)

#: What a rollup row is about, in the order of its key. Absent values are '', since a key holds no nulls.
DIMENSIONS: Final = (
    "account_id",
    "line_id",
    "camera_id",
    "product",
    "project",
    "model_version",
    "verdict",
    "cause",
    "shadow",
)

# Counts of rows in ``inspections``, written by the transaction that wrote those rows. ``resolution`` is minute, hour,
# day, or total: the total outlives retention and is what Prometheus shows as a counter.
rollups = Table(
    "rollups",
    metadata,
    Column("resolution", Text, nullable=False),
    Column("bucket", _TIME, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("line_id", Text, nullable=False),
    Column("camera_id", Text, nullable=False),
    Column("product", Text, nullable=False),
    Column("project", Text, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("shadow", Boolean, nullable=False),
    Column("inspections", BigInteger, nullable=False),
    Column("scored", BigInteger, nullable=False),
    Column("score_sum", Double, nullable=False),
    Column("latency_sum", Double, nullable=False, comment="seconds from capture to decision"),
    Column("latency_counts", ARRAY(BigInteger), nullable=False, comment="rows per latency bucket, not cumulative"),
    Column("last_captured_at", _TIME, nullable=False),
    PrimaryKeyConstraint("resolution", "bucket", *DIMENSIONS, name="rollups_pkey"),
    Index("rollups_account", "account_id", "resolution", "bucket"),
)

faults = Table(
    "faults",
    metadata,
    Column("fault_id", Uuid, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("camera_id", Text, nullable=False),
    Column("line_id", Text),
    Column("kind", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("started_at", _TIME, nullable=False),
    Column("ended_at", _TIME),
    Column("frames", BigInteger, nullable=False),
    Column("detail", Text),
    Index("faults_time", "account_id", "started_at", "fault_id"),
    Index("faults_camera", "account_id", "camera_id", "started_at", "fault_id"),
    Index("faults_open", "account_id", "camera_id", postgresql_where=text("ended_at is null")),
)

# One call of an AWS operation, or of Vigia's own API where it changes something. ``record`` is the CloudTrail record,
# ``resources`` what it names: [{"type": …, "name": …}].
calls = Table(
    "calls",
    metadata,
    Column("event_id", Uuid, nullable=False),
    Column("called_at", _TIME, nullable=False),
    Column("stored_at", _TIME, nullable=False, server_default=text("clock_timestamp()")),
    Column("account_id", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("read_only", Boolean, nullable=False),
    Column("username", Text, nullable=False),
    Column("access_key_id", Text, nullable=False),
    Column("resources", JSONB, nullable=False),
    Column("project", Text),
    Column("model_version", Text),
    Column("outcome", Text, nullable=False),
    Column("error_code", Text),
    Column("duration_ms", Double, nullable=False),
    Column("images_processed", Integer, nullable=False),
    Column("images_invalid", Integer, nullable=False),
    Column("anomalies", Integer, nullable=False),
    Column("record", JSONB, nullable=False),
    PrimaryKeyConstraint("event_id", "called_at", name="calls_pkey"),
    Index("calls_time", "account_id", "called_at", "event_id"),
    Index("calls_name", "account_id", "name", "called_at", "event_id"),
    Index("calls_user", "account_id", "username", "called_at", "event_id"),
    Index("calls_key", "account_id", "access_key_id", "called_at", "event_id"),
    Index("calls_changes", "account_id", "called_at", "event_id", postgresql_where=text("not read_only")),
    Index(
        "calls_failures",
        "account_id",
        "outcome",
        "called_at",
        "event_id",
        postgresql_where=text("outcome <> 'success'"),
    ),
    Index("calls_resources", "resources", postgresql_using="gin", postgresql_ops={"resources": "jsonb_path_ops"}),
    postgresql_partition_by="RANGE (called_at)",
)

# What CloudWatch metrics are computed from, written by the transaction that wrote the calls or first saw the
# measurement. ``resolution`` is minute, five_minutes, hour, or total: the total is what Prometheus shows as a counter
# and what says which metrics there are. Absent project and version are ''. ``last_at``: the newest sample's time.
samples = Table(
    "samples",
    metadata,
    Column("resolution", Text, nullable=False),
    Column("bucket", _TIME, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("service", Text, nullable=False, server_default="lookoutvision"),
    Column("project", Text, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("operation", Text, nullable=False, server_default=""),
    Column("metric", Text, nullable=False),
    Column("samples", BigInteger, nullable=False),
    Column("sum", Double, nullable=False),
    Column("minimum", Double, nullable=False),
    Column("maximum", Double, nullable=False),
    Column("last_at", _TIME, nullable=False),
    PrimaryKeyConstraint(
        "resolution",
        "account_id",
        "region",
        "service",
        "project",
        "model_version",
        "operation",
        "metric",
        "bucket",
        name="samples_pkey",
    ),
    Index("samples_age", "resolution", "last_at"),
)

# A copy of what the registry announced, so that dashboards can name cameras that have not sent a frame yet.
cameras = Table(
    "cameras",
    metadata,
    Column("camera_id", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("line_id", Text),
    Column("station", Text),
    Column("product", Text),
    Column("project", Text),
    Column("enabled", Boolean, nullable=False),
    Column("revision", BigInteger, nullable=False),
)
