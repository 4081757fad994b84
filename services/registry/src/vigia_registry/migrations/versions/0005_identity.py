"""Users, roles, policies and sessions; every key gets a user that may do what the key could.

Revision: 0005
After: 0004
"""

from __future__ import annotations

import json
import re
import secrets

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SCHEMA = "registry"
MOMENT = sa.DateTime(timezone=True)
NOW = sa.func.now()
USER = re.compile(r"arn:aws:iam::[0-9]{12}:user/([A-Za-z0-9_+=,.@-]{1,56})")


def account(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["account_id"], [f"{SCHEMA}.accounts.id"], name=f"fk_{table}_account_id_accounts")


def holder(table: str, column: str, holders: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["account_id", column],
        [f"{SCHEMA}.{holders}.account_id", f"{SCHEMA}.{holders}.name"],
        name=f"fk_{table}_account_id_{column}_{holders}",
        ondelete="CASCADE",
    )


def upgrade() -> None:
    op.create_table(
        "policies",
        sa.Column("account_id", sa.String(12), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("description", sa.String(1000), nullable=False, server_default=""),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
        sa.Column("updated_at", MOMENT, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("account_id", "name", name="pk_policies"),
        account("policies"),
        schema=SCHEMA,
    )
    op.create_table(
        "users",
        sa.Column("account_id", sa.String(12), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("id", sa.String(21), nullable=False),
        sa.Column("policies", postgresql.ARRAY(sa.Text), nullable=False, server_default="{}"),
        sa.Column("inline", postgresql.JSONB, nullable=False, server_default="{}"),
        sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
        sa.Column("updated_at", MOMENT, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("account_id", "name", name="pk_users"),
        sa.UniqueConstraint("id", name="uq_users_id"),
        account("users"),
        schema=SCHEMA,
    )
    op.create_table(
        "roles",
        sa.Column("account_id", sa.String(12), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("id", sa.String(21), nullable=False),
        sa.Column("policies", postgresql.ARRAY(sa.Text), nullable=False, server_default="{}"),
        sa.Column("inline", postgresql.JSONB, nullable=False, server_default="{}"),
        sa.Column("trust", postgresql.ARRAY(sa.Text), nullable=False, server_default="{}"),
        sa.Column("max_session_seconds", sa.Integer, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
        sa.Column("updated_at", MOMENT, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("account_id", "name", name="pk_roles"),
        sa.UniqueConstraint("id", name="uq_roles_id"),
        account("roles"),
        schema=SCHEMA,
    )
    op.create_table(
        "sessions",
        sa.Column("access_key_id", sa.String(128), nullable=False),
        sa.Column("account_id", sa.String(12), nullable=False),
        sa.Column("user_name", sa.String(64)),
        sa.Column("role_name", sa.String(64)),
        sa.Column("session_name", sa.String(64)),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("token", sa.LargeBinary, nullable=False),
        sa.Column("policies", postgresql.JSONB),
        sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("access_key_id", name="pk_sessions"),
        account("sessions"),
        holder("sessions", "user_name", "users"),
        holder("sessions", "role_name", "roles"),
        sa.CheckConstraint("num_nonnulls(user_name, role_name) = 1", name=op.f("ck_sessions_of_one_principal")),
        sa.CheckConstraint(
            "(role_name is null) = (session_name is null)", name=op.f("ck_sessions_roles_name_sessions")
        ),
        schema=SCHEMA,
    )
    for column in ("expires_at", "user_name", "role_name"):
        op.create_index(f"ix_sessions_account_id_{column}", "sessions", ["account_id", column], schema=SCHEMA)
    op.alter_column("access_keys", "actions", server_default="{}", schema=SCHEMA)
    op.add_column("access_keys", sa.Column("user_name", sa.String(64)), schema=SCHEMA)
    op.add_column("access_keys", sa.Column("last_used_at", MOMENT), schema=SCHEMA)
    op.add_column("access_keys", sa.Column("last_used_service", sa.Text), schema=SCHEMA)
    give_users_to_keys()
    op.alter_column("access_keys", "user_name", nullable=False, schema=SCHEMA)
    op.create_foreign_key(
        "fk_access_keys_account_id_user_name_users",
        "access_keys",
        "users",
        ["account_id", "user_name"],
        ["account_id", "name"],
        source_schema=SCHEMA,
        referent_schema=SCHEMA,
        ondelete="CASCADE",
    )
    op.create_index(
        "ix_access_keys_account_id_user_name", "access_keys", ["account_id", "user_name"], schema=SCHEMA
    )


def give_users_to_keys() -> None:
    """Keys of one principal that may do the same share a user."""
    connection = op.get_bind()
    keys = connection.execute(
        sa.text(
            f"select account_id, principal_arn, actions, array_agg(access_key_id) as ids from {SCHEMA}.access_keys "
            "group by account_id, principal_arn, actions order by min(created_at), principal_arn, actions"
        )
    ).all()
    taken: set[tuple[str, str]] = set()
    for row in keys:
        match = USER.fullmatch(row.principal_arn)
        stem = name = match[1] if match else "key"
        number = 1
        while (row.account_id, name) in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add((row.account_id, name))
        statement = {"Effect": "Allow", "Action": row.actions, "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]}, separators=(",", ":"))
        connection.execute(
            sa.text(
                f"insert into {SCHEMA}.users (account_id, name, id, inline) "
                "values (:account, :name, :id, cast(:inline as jsonb))"
            ),
            {
                "account": row.account_id,
                "name": name,
                "id": "AIDA" + "".join(secrets.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") for _ in range(17)),
                "inline": json.dumps({"actions": document} if row.actions else {}),
            },
        )
        connection.execute(
            sa.text(
                f"update {SCHEMA}.access_keys set user_name = :name "
                "where access_key_id = any(cast(:ids as text[]))"
            ),
            {"name": name, "ids": row.ids},
        )


def downgrade() -> None:
    for column in ("user_name", "last_used_at", "last_used_service"):
        op.drop_column("access_keys", column, schema=SCHEMA)
    op.alter_column("access_keys", "actions", server_default=None, schema=SCHEMA)
    for table in ("sessions", "roles", "users", "policies"):
        op.drop_table(table, schema=SCHEMA)
