"""What all tests share: the fixtures of the stack, and an environment that names no installation."""

from __future__ import annotations

import os

pytest_plugins = ["vigia_stack.testing"]

#: How tests are run; all else that begins so says where some Vigia or AWS is, and no test is meant to reach it.
_OURS = {"AWS_CA_BUNDLE", "VIGIA_CACHE", "VIGIA_PARTS", "VIGIA_DEVICE", "VIGIA_PYTHON"}
for _name in [n for n in os.environ if n.startswith(("AWS_", "VIGIA_")) and n not in _OURS]:
    del os.environ[_name]
