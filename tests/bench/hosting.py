"""How long StartModel and StopModel take, as an SDK that asks again and again sees it."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tests.bench.figures import Figure, Report, quantile
from tests.line import Line, until
from vigia_vision.artifact import Artifact
from vigia_vision.session import Session

ROUNDS = 5


def measure(report: Report, line: Line, project: str, artifact: Artifact, images: Sequence[bytes]) -> None:
    """The hosted version is stopped and started; beside it the same artifact is loaded in this process.

    It is hosted again at the end.
    """
    model = {"ProjectName": project, "ModelVersion": "1"}

    def becomes(status: str) -> float:
        began = time.monotonic()
        if status == "HOSTED":
            line.lookout.start_model(**model, MinInferenceUnits=1)
        else:
            line.lookout.stop_model(**model)
        until(status, lambda: line.model(project, "1") == status, every=0.2)
        return time.monotonic() - began

    def loaded() -> float:
        began = time.monotonic()
        Session(Artifact.load(artifact.all_files())).inspect(images[0])
        return time.monotonic() - began

    stops, starts, alone = [], [], []
    for _ in range(ROUNDS):
        stops.append(becomes("TRAINED"))
        starts.append(becomes("HOSTED"))
        alone.append(loaded())
    reference = quantile(alone, 0.5)
    name = "s to load it and judge one image in process"
    report.add(Figure("StartModel to HOSTED, median", quantile(starts, 0.5), "s", reference, name, "≤ 10 s"))
    report.add(Figure("StartModel to HOSTED, slowest", max(starts), "s", reference, name, "≤ 10 s"))
    report.add(Figure("StopModel to TRAINED, median", quantile(stops, 0.5), "s", reference, name, "≤ 3 s"))
    report.add(Figure("StopModel to TRAINED, slowest", max(stops), "s", reference, name, "≤ 3 s"))
