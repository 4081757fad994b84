"""Cameras: where images come from, how they are read, and which project judges them."""
