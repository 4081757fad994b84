"""Vigia's own REST, under /api/v1: lines, cameras, hosting, model summaries, trial detections, users and their rights."""
