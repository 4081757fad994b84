"""Fixtures of the whole repository: the real parts."""

pytest_plugins = ["vigia_stack.testing"]
