"""Alembic tree of schema ``registry``."""
