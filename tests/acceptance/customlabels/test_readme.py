"""What the README tells people who come from Custom Labels works as it stands there."""

from __future__ import annotations

import json

import pytest

from tests.acceptance.journeys import Seen

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.journey("cl-readme")]


def test_from_a_table_of_labels_to_a_running_model(seen: Seen) -> None:
    assert "CREATE_COMPLETE" in seen("train")
    assert "TRAINING_COMPLETED" in seen("train")
    assert '"RUNNING"' in seen("train")


def test_the_first_labels_in_python(seen: Seen) -> None:
    assert seen("python").startswith("[('anomaly', ")


def test_the_first_labels_with_the_aws_cli(seen: Seen) -> None:
    assert json.loads(seen("cli"))["CustomLabels"][0]["Name"] == "anomaly"


def test_what_a_model_predicts_is_verified_and_applied(seen: Seen) -> None:
    said = seen("feedback")
    assert " 0 corrected, 0 of other images)" in said
    assert "lines are in the dataset" in said
