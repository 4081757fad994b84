"""Packaging jobs: a trained version becomes a component that an edge device can be given."""
