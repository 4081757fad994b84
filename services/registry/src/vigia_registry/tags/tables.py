"""Tags of everything that can have them."""

from __future__ import annotations

from sqlalchemy import Column, String, Table, Text

from vigia_registry.db import metadata

tags = Table(
    "tags",
    metadata,
    # No reference: whoever removes what the ARN names removes its tags in the same transaction.
    Column("resource_arn", Text, primary_key=True),
    Column("key", String(128), primary_key=True),
    Column("value", String(256), nullable=False),
)
