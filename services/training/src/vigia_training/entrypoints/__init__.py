"""Processes: the command line and the worker."""
