"""Vigia's own REST, under /api/v1: lines, cameras, hosting, model summaries, trials, users and their rights."""
