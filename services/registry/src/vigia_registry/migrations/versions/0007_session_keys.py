"""Which key a session was begun with: deactivated or deleted, it takes the session with it.

Revision: 0007
After: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

SCHEMA = "registry"


def upgrade() -> None:
    # Of sessions that there are nobody knows it; they end within 36 hours.
    op.add_column("sessions", sa.Column("begun_by", sa.String(128)), schema=SCHEMA)
    op.create_foreign_key(
        "fk_sessions_begun_by_access_keys",
        "sessions",
        "access_keys",
        ["begun_by"],
        ["access_key_id"],
        source_schema=SCHEMA,
        referent_schema=SCHEMA,
        ondelete="CASCADE",
    )
    op.create_index("ix_sessions_begun_by_expires_at", "sessions", ["begun_by", "expires_at"], schema=SCHEMA)


def downgrade() -> None:
    op.drop_index("ix_sessions_begun_by_expires_at", "sessions", schema=SCHEMA)
    op.drop_constraint("fk_sessions_begun_by_access_keys", "sessions", schema=SCHEMA)
    op.drop_column("sessions", "begun_by", schema=SCHEMA)
