"""Accounts and access keys: who may ask."""
