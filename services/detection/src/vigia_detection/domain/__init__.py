"""Decisions about frames: plain functions and types, no I/O."""
