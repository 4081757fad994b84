"""What the import accepts, training reads, and as the same: a line must not fail a training that began hours later."""

from __future__ import annotations

from hypothesis import given

from tests.fuzz.manifests import fuzz, lines, outcome


@given(lines)
def test_what_import_accepts_training_reads_as_the_same(line: bytes) -> None:
    outcome(line)


def test_many_lines_are_the_same_lines_again() -> None:
    found = fuzz(400, begin=1)
    assert found == fuzz(400, begin=1)
    assert found.total() == 400
    # They get behind the checks, too.
    assert {"unlabelled", "anomaly", "anomaly, with labels", "normal"} <= found.keys()
