"""Projects: one kind of part, its datasets and its model versions."""
