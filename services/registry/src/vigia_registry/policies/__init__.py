"""Project policies: who may copy a project's model versions."""
