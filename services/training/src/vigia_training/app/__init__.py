"""Use cases: train from images in memory, run one job."""
