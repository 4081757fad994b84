"""Accounts, those who act for them, and the keys that sign."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    func,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from vigia_registry.db import Moment, metadata

accounts = Table(
    "accounts",
    metadata,
    Column("id", String(12), primary_key=True),
    Column("created_at", Moment, nullable=False, server_default=func.now()),
    CheckConstraint("id ~ '^[0-9]{12}$'", name="id_has_12_digits"),
)

# Documents of policies are texts, as they were found valid: JSON without white space.
policies = Table(
    "policies",
    metadata,
    Column("account_id", ForeignKey(accounts.c.id), primary_key=True),
    Column("name", String(128), primary_key=True),
    Column("description", String(1000), nullable=False, server_default=""),
    Column("document", Text, nullable=False),
    Column("created_at", Moment, nullable=False, server_default=func.now()),
    Column("updated_at", Moment, nullable=False, server_default=func.now()),
)

users = Table(
    "users",
    metadata,
    Column("account_id", ForeignKey(accounts.c.id), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("id", String(21), nullable=False, unique=True),
    # Names of policies, and documents of its own by name.
    Column("policies", ARRAY(Text), nullable=False, server_default="{}"),
    Column("inline", JSONB, nullable=False, server_default="{}"),
    Column("created_at", Moment, nullable=False, server_default=func.now()),
    Column("updated_at", Moment, nullable=False, server_default=func.now()),
)

roles = Table(
    "roles",
    metadata,
    Column("account_id", ForeignKey(accounts.c.id), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("id", String(21), nullable=False, unique=True),
    Column("policies", ARRAY(Text), nullable=False, server_default="{}"),
    Column("inline", JSONB, nullable=False, server_default="{}"),
    Column("trust", ARRAY(Text), nullable=False, server_default="{}"),
    Column("max_session_seconds", Integer, nullable=False),
    Column("created_at", Moment, nullable=False, server_default=func.now()),
    Column("updated_at", Moment, nullable=False, server_default=func.now()),
)

access_keys = Table(
    "access_keys",
    metadata,
    Column("access_key_id", String(128), primary_key=True),
    Column("account_id", ForeignKey(accounts.c.id), nullable=False, index=True),
    Column("user_name", String(64), nullable=False),
    # SigV4 needs the secret in clear to verify a signature, so it is encrypted and not hashed.
    Column("secret", LargeBinary, nullable=False),
    Column("principal_arn", Text, nullable=False),
    # What keys could do before there were users; their users have it as a policy. Nothing reads it.
    Column("actions", ARRAY(Text), nullable=False, server_default="{}"),
    Column("enabled", Boolean, nullable=False, server_default=true()),
    Column("expires_at", Moment),
    Column("created_at", Moment, nullable=False, server_default=func.now()),
    Column("last_used_at", Moment),
    Column("last_used_service", Text),
    ForeignKeyConstraint(["account_id", "user_name"], [users.c.account_id, users.c.name], ondelete="CASCADE"),
    Index("ix_access_keys_account_id_user_name", "account_id", "user_name"),
)

# Temporary keys: of a user (GetSessionToken) or of somebody who has taken a role (AssumeRole).
sessions = Table(
    "sessions",
    metadata,
    Column("access_key_id", String(128), primary_key=True),
    Column("account_id", ForeignKey(accounts.c.id), nullable=False),
    Column("user_name", String(64)),
    Column("role_name", String(64)),
    Column("session_name", String(64)),
    # The user's key at the beginning of it, be it that a role was taken from a role: inactive, the session is nothing.
    Column("begun_by", ForeignKey(access_keys.c.access_key_id, ondelete="CASCADE")),
    Column("secret", LargeBinary, nullable=False),
    Column("token", LargeBinary, nullable=False),
    # Documents that bound what the session may do; null where nothing does.
    Column("policies", JSONB(none_as_null=True)),
    Column("created_at", Moment, nullable=False, server_default=func.now()),
    Column("expires_at", Moment, nullable=False),
    ForeignKeyConstraint(["account_id", "user_name"], [users.c.account_id, users.c.name], ondelete="CASCADE"),
    ForeignKeyConstraint(["account_id", "role_name"], [roles.c.account_id, roles.c.name], ondelete="CASCADE"),
    CheckConstraint("num_nonnulls(user_name, role_name) = 1", name="of_one_principal"),
    CheckConstraint("(role_name is null) = (session_name is null)", name="roles_name_sessions"),
    Index("ix_sessions_account_id_expires_at", "account_id", "expires_at"),
    Index("ix_sessions_account_id_user_name", "account_id", "user_name"),
    Index("ix_sessions_account_id_role_name", "account_id", "role_name"),
    Index("ix_sessions_begun_by_expires_at", "begun_by", "expires_at"),
)
