"""Accounts, users, roles, policies, access keys and sessions: who may ask, and for what."""
