"""Lines: where cameras stand."""
