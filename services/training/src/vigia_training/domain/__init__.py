"""Decisions about data and models: plain functions, no I/O."""
