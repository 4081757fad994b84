"""Projects of Custom Labels, through its protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from vigia_client.provisioning.changes import Act, Change
from vigia_client.provisioning.spec import Spec


def label_changes(rekognition: Any, spec: Spec) -> Iterator[Change]:
    """Declared projects that are not there are due."""
    pages = rekognition.get_paginator("describe_projects").paginate()
    known = {found["ProjectArn"].split("/")[1] for page in pages for found in page["ProjectDescriptions"]}
    for name in sorted(spec.label_projects):
        change = Change("label project", name, Act.NONE if name in known else Act.CREATE)
        if name not in known:
            change.make = _create(rekognition, name)
        yield change


def _create(rekognition: Any, name: str) -> Callable[[], bool]:
    def create() -> bool:
        try:
            rekognition.create_project(ProjectName=name)
        except rekognition.exceptions.ResourceInUseException:
            found = rekognition.describe_projects(ProjectNames=[name])["ProjectDescriptions"]
            if not any(one["Status"] == "CREATED" for one in found):  # on its way out
                raise
            return False
        return True

    return create
