"""Processes: http, worker, hosting, migrate."""
