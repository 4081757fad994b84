"""Lines and datasets of Custom Labels: image-level labels, boxes, or both, in attributes of any name."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from vigia_client.datasets.delivery import AbsentError, Datasets
from vigia_client.datasets.lines import UNLABELLED, LineError, Note, Why
from vigia_client.lookout import Json
from vigia_contracts import ground_truth

#: Bytes of a line that are read: with an earlier validation's errors in it, it may be longer than a dataset takes.
LONGEST_READ: Final = 4 * ground_truth.LIMITS.characters
#: Bytes of one update, at most; the service takes 5 MiB.
MOST_UPDATE: Final = 4 * 1024 * 1024
#: The most images that a dataset may hold.
MOST_IMAGES: Final = {"train": 250_000, "test": 250_000}
#: Attributes of evaluation files: what a model said, and no label.
_PREDICTIONS: Final = "rekognition-custom-labels-evaluation"


@dataclass(frozen=True, slots=True)
class LabelledLine:
    """A line as written, without what a validation or an evaluation added. ``boxes``: how many; ``mask``: none."""

    ref: str
    text: str
    labels: tuple[str, ...] = ()
    boxes: int = 0
    notes: tuple[Note, ...] = ()
    mask: None = None

    @property
    def said(self) -> str:
        return ", ".join(self.labels) or UNLABELLED

    def write(self, image: str, mask: str | None) -> str:
        text = json.dumps(json.loads(self.text) | {"source-ref": image}, ensure_ascii=False)
        if len(text) > ground_truth.LIMITS.characters:
            most = ground_truth.LIMITS.characters
            raise LineError(Why.LINE_TOO_LONG, f"{len(text)} characters; a dataset takes {most}")
        return text


def read_labels(raw: bytes) -> LabelledLine:
    """The line; LineError where no dataset would take it. What else is wrong with it is in its notes, and comes in."""
    if len(raw) > LONGEST_READ:
        raise LineError(Why.LINE_TOO_LONG, f"more than {LONGEST_READ} bytes")
    line = ground_truth.read_line(raw)
    notes: list[Note] = []
    if predicted := [name for name in line.fields or {} if name.startswith(_PREDICTIONS)]:
        left = {name: value for name, value in (line.fields or {}).items() if name not in predicted}
        line = ground_truth.read_line(json.dumps(left).encode())
        notes.append(Note(Why.PREDICTIONS, ", ".join(predicted)[:200]))
    if ground_truth.dropped(line) or line.source_ref is None:
        raise LineError(Why.NOT_A_LINE, "; ".join(problem.message for problem in line.problems))
    if not line.labeled:
        notes.append(Note(Why.UNLABELLED, "no label"))
    if line.errors:
        notes.append(Note(Why.LABEL_ERRORS, "; ".join(dict.fromkeys(f"{e.code}: {e.message}" for e in line.errors))))
    labels = tuple(dict.fromkeys((*line.image_labels, *line.box_labels)))
    return LabelledLine(line.source_ref, line.text, labels, len(line.boxes), tuple(notes))


class LabelDatasets(Datasets):
    """The datasets of one installation, over a client of Rekognition. Kinds are ``train`` and ``test``."""

    most_bytes = MOST_UPDATE

    def project_arn(self, project: str) -> str:
        """The ARN of a project; AbsentError."""
        return str(self._project(project)["ProjectArn"])

    def arn(self, project: str, kind: str) -> str:
        """The ARN of a dataset; AbsentError."""
        held = [d for d in self._project(project).get("Datasets", []) if d["DatasetType"] == kind.upper()]
        if not held:
            raise AbsentError(f"project {project} has no {kind} dataset")
        return str(held[0]["DatasetArn"])

    def _project(self, project: str) -> Json:
        found: list[Json] = self.client.describe_projects(ProjectNames=[project])["ProjectDescriptions"]
        if not found:
            raise AbsentError(f"there is no project {project}")
        return found[0]

    def _describe(self, project: str, kind: str) -> Json:
        found: Json = self.client.describe_dataset(DatasetArn=self.arn(project, kind))["DatasetDescription"]
        return found

    def _create(self, project: str, kind: str, manifest: tuple[str, str] | None) -> None:
        given = {}
        if manifest is not None:
            place = {"Bucket": manifest[0], "Name": manifest[1]}
            given["DatasetSource"] = {"GroundTruthManifest": {"S3Object": place}}
        self.client.create_dataset(ProjectArn=self.project_arn(project), DatasetType=kind.upper(), **given)

    def _delete(self, project: str, kind: str) -> None:
        self.client.delete_dataset(DatasetArn=self.arn(project, kind))

    def _pages(self, project: str, kind: str) -> Iterable[Json]:
        return entry_pages(self.client, self.arn(project, kind))

    def _update(self, project: str, kind: str, changes: bytes) -> None:
        self.client.update_dataset_entries(DatasetArn=self.arn(project, kind), Changes={"GroundTruth": changes})


def entry_pages(client: Any, arn: str, **filters: object) -> Iterable[Json]:
    """The pages of a dataset's entries."""
    pages: Iterable[Json] = client.get_paginator("list_dataset_entries").paginate(
        DatasetArn=arn, PaginationConfig={"PageSize": 100}, **filters
    )
    return pages
