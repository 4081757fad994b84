"""Datasets: labelled images of a project, imported from manifests."""
