"""Fixtures for tests that need the whole product."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.line import PARTS, Line
from vigia_stack.stack import Stack

PROJECT = "brightness"


@pytest.fixture(scope="session")
def line(stack_state: Path) -> Iterator[Line]:
    """A running stack whose project ``brightness`` has a hosted model."""
    with Stack(PARTS, stack_state / "line") as stack:
        found = Line(stack)
        found.host(PROJECT)
        yield found
