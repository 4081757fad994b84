"""The main job on the sample line: from photographs to a hosted model to the defect rate."""
