"""Inference units that there should be, beside those in service.

Revision: 0006
After: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SCHEMA = "registry"


def upgrade() -> None:
    column = sa.Column("desired_units", sa.Integer, nullable=False, server_default="0")
    op.add_column("hostings", column, schema=SCHEMA)


def downgrade() -> None:
    op.drop_column("hostings", "desired_units", schema=SCHEMA)
