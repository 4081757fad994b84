"""One running product with trainings that take seconds, for the samples of both services."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.journeys import Journey, Journeys, Seen
from tests.line import PARTS
from vigia_stack import client
from vigia_stack.parts.objects import ObjectsPart
from vigia_stack.stack import Stack

#: A training small enough for a test that still learns the cookies' cracks, and discs from squares.
SMALL_TRAINING = {
    "VIGIA_TRAINING_LEARNING__IMAGES": "64",
    "VIGIA_TRAINING_LEARNING__ITERATIONS": "40",
    "VIGIA_TRAINING_LEARNING__FOLD_ITERATIONS": "20",
    "VIGIA_TRAINING_LEARNING__CLASSIFICATION_IMAGES": "16",
    "VIGIA_TRAINING_LEARNING__CLASSIFICATION_ITERATIONS": "10",
    "VIGIA_TRAINING_LEARNING__DETECTION_ITERATIONS": "60",
}
#: What no call of the API needs: cameras, their history, dashboards.
WITHOUT = {"ingestion", "detection-worker", "aggregator-worker", "aggregator-http", "prometheus"}


@pytest.fixture(scope="package")
def stack(stack_state: Path) -> Iterator[Stack]:
    """The product, with training."""
    parts = [part for part in (*PARTS, "training") if part not in WITHOUT]
    with Stack(parts, stack_state / "acceptance", settings=SMALL_TRAINING) as running:
        yield running


@pytest.fixture(scope="package")
def client_env(stack: Stack) -> dict[str, str]:
    """What ``client.env`` says."""
    lines = client.write(stack.site).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


@pytest.fixture(scope="package")
def s3(stack: Stack) -> Any:
    """A boto3 client of the object store."""
    return stack.part(ObjectsPart).store.client()


@pytest.fixture
def journey(request: pytest.FixtureRequest, journeys: Journeys) -> Journey:
    """The journey that the test's marker names."""
    marker = request.node.get_closest_marker("journey")
    assert marker is not None
    return journeys.begin(marker.args[0])


@pytest.fixture
def seen(journey: Journey) -> Seen:
    """What a sample saw."""
    return journey.seen
