"""Changes and failures are found among very many calls that read."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_UP = """
create index calls_changes on inspection.calls (account_id, called_at, event_id) where not read_only;
create index calls_failures on inspection.calls (account_id, outcome, called_at, event_id) where outcome <> 'success';
"""

_DOWN = """
drop index inspection.calls_failures;
drop index inspection.calls_changes;
"""


def upgrade() -> None:
    op.execute(_UP)


def downgrade() -> None:
    op.execute(_DOWN)
