"""Whatever Custom Labels is asked: an answer in the protocol's shape, never ours to blame, nothing left by failures."""

from __future__ import annotations

import os
from random import SystemRandom

from tests.fuzz.customlabels import LABELS
from tests.fuzz.run import fuzz
from vigia_stack.parts.objects import ObjectStoreAddress

NUMBER = 1500
#: In CI the requests are the same every time; at a desk they differ, and find more.
SEED = 0 if os.environ.get("CI") else SystemRandom().randrange(2**32)


def test_requests_that_no_client_would_send(postgres_server: str, object_store: ObjectStoreAddress) -> None:
    report = fuzz(LABELS, postgres_server, object_store, SEED, NUMBER)
    assert report.problems == [], f"seed {SEED}"
    assert report.requests == NUMBER
    # They get behind the checks of their form, too.
    for operation in ("CreateProject", "CreateDataset", "UpdateDatasetEntries", "CreateProjectVersion"):
        outcomes = {outcome for name, outcome in report.sent if name == operation}
        behind = {"200", "ResourceInUseException", "ResourceAlreadyExistsException"}
        assert outcomes & behind, f"{operation}, seed {SEED}"
