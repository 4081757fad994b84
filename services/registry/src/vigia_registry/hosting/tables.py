"""Which versions are hosted or should be, and what was announced about it."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Integer,
    Sequence,
    String,
    Table,
    Text,
    func,
)

from vigia_registry.db import Moment, metadata
from vigia_registry.models.tables import model_versions

hostings = Table(
    "hostings",
    metadata,
    Column("model_version_id", ForeignKey(model_versions.c.id, ondelete="CASCADE"), primary_key=True),
    Column("desired", String(8), nullable=False),
    Column("min_units", Integer, nullable=False),
    Column("max_units", Integer),
    Column("observed", String(8), nullable=False, server_default="absent"),
    Column("reason", Text),
    # What scaling has decided; counts only within the two above.
    Column("desired_units", Integer, nullable=False, server_default="0"),
    Column("in_service_units", Integer, nullable=False, server_default="0"),
    # Grows with every StartModel and StopModel: what was tried for an earlier one does not count against a later one.
    Column("generation", Integer, nullable=False, server_default="1"),
    Column("triton_model", Text),
    # Grows with every change of the row.
    Column("revision", BigInteger, nullable=False, server_default="1"),
    Column("observed_at", Moment, nullable=False, server_default=func.now()),
    Column("updated_at", Moment, nullable=False, server_default=func.now()),
    CheckConstraint("desired in ('none', 'hosted')", name="desired"),
    CheckConstraint("observed in ('absent', 'loading', 'serving', 'failed', 'draining')", name="observed"),
    CheckConstraint("min_units >= 1 and (max_units is null or max_units >= min_units)", name="units"),
)

#: What each Triton was last seen to make of each version; for people to look at, nothing is decided from it.
sightings = Table(
    "sightings",
    metadata,
    Column("model_version_id", ForeignKey(hostings.c.model_version_id, ondelete="CASCADE"), primary_key=True),
    Column("triton", Text, primary_key=True),
    Column("report", String(8), nullable=False),
    Column("reason", Text, nullable=False),
    Column("seen_at", Moment, nullable=False, server_default=func.now()),
)

#: Revisions of announced records. One sequence for all: under each key they grow, also after a record was removed.
revisions = Sequence("revisions", metadata=metadata)

#: What stands on topic ``deployments``; no row is a tombstone, or nothing ever.
announcements = Table(
    "announcements",
    metadata,
    Column("key", Text, primary_key=True),
    # SHA-256 of the record without its revision and time: the same content is not announced twice.
    Column("fingerprint", String(64), nullable=False),
    Column("model_arn", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("announced_at", Moment, nullable=False, server_default=func.now()),
)
