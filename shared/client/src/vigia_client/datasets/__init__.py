"""Datasets from what somebody holds: manifests and images looked at, brought into the object store, made a dataset."""
