"""What the README tells people who come from the closed service works as it stands there."""

from __future__ import annotations

import json

import pytest

from tests.acceptance.journeys import Seen

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.journey("readme")]


def test_from_nothing_to_a_hosted_model(seen: Seen) -> None:
    assert '"HOSTED"' in seen("train")


def test_the_first_verdict_in_python(seen: Seen) -> None:
    assert seen("python").startswith("True 0.")
    assert "'cracked'" in seen("python")


def test_the_first_verdict_with_the_aws_cli(seen: Seen) -> None:
    assert json.loads(seen("cli"))["DetectAnomalyResult"]["IsAnomalous"] is True
