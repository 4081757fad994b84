"""Threshold records: from which score a version's parts are rejected, who said so, and why."""
