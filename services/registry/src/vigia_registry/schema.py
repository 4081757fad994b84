"""Every table of the registry, so that ``metadata`` is complete wherever this module is imported."""

from __future__ import annotations

from vigia_registry.cameras import tables as cameras
from vigia_registry.datasets import tables as datasets
from vigia_registry.db import SCHEMA, metadata
from vigia_registry.hosting import tables as hosting
from vigia_registry.idempotency import tables as idempotency
from vigia_registry.identity import tables as identity
from vigia_registry.lines import tables as lines
from vigia_registry.models import tables as models
from vigia_registry.packaging import tables as packaging
from vigia_registry.policies import tables as policies
from vigia_registry.projects import tables as projects
from vigia_registry.tags import tables as tags
from vigia_registry.thresholds import tables as thresholds
from vigia_registry.trials import tables as trials
from vigia_runtime.outbox import Outbox, outbox_table

#: Announcements on their way to Kafka.
outbox = outbox_table(metadata, SCHEMA)
announcements = Outbox(outbox)

__all__ = [
    "announcements",
    "cameras",
    "datasets",
    "hosting",
    "idempotency",
    "identity",
    "lines",
    "metadata",
    "models",
    "outbox",
    "packaging",
    "policies",
    "projects",
    "tags",
    "thresholds",
    "trials",
]
