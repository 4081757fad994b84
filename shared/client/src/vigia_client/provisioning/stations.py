"""Lines and cameras, through ``/api/v1``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Any

from vigia_client.api import Json, Vigia
from vigia_client.provisioning.changes import Act, Change, deleting, differences
from vigia_client.provisioning.documents import Problem
from vigia_client.provisioning.secrets import shown
from vigia_client.provisioning.spec import CameraSpec, Declared, Spec

_FIELDS = ("line_id", "station", "product", "project", "model_version", "enabled", "source", "policy")


class Stations:
    """What the installation has now, against what is declared."""

    def __init__(self, vigia: Vigia, spec: Spec) -> None:
        self._vigia = vigia
        self._spec = spec
        self._lines: dict[str, Json] = {row["line_id"]: row for row in vigia.lines()}
        self._cameras: dict[str, Json] = {row["camera_id"]: row for row in vigia.cameras()}

    def problems(self, projects: Callable[[], Collection[str]]) -> Iterator[Problem]:
        """What a camera names and will not be there. ``projects`` says which there will be."""
        lines = self._lines.keys() | self._spec.lines.keys()
        for camera in self._spec.cameras.values():
            spec = camera.value
            if spec.line is not None and spec.line not in lines:
                yield camera.problem(f"line {spec.line} is neither declared nor there", "line")
            if spec.project is not None and spec.project not in projects():
                yield camera.problem(f"project {spec.project} is neither declared nor there", "project")
            if spec.model_version is not None and spec.project is None:
                yield camera.problem("a model_version is of a project; name that too", "model_version")

    def line_changes(self) -> Iterator[Change]:
        for name, line in sorted(self._spec.lines.items()):
            known = self._lines.get(name)
            change = Change("line", name, Act.CREATE)
            if known is not None:
                told = list(differences({"description": known["description"]}, line.value.model_dump()))
                change = Change("line", name, Act.CHANGE if told else Act.NONE, told)
            if change.act is not Act.NONE:
                change.make = self._put_line(name, line.value.description)
            yield change

    def camera_changes(self) -> Iterator[Change]:
        for name, camera in sorted(self._spec.cameras.items()):
            yield self._camera_change(name, camera)

    def prune_cameras(self, line: str | None) -> Iterator[Change]:
        """Delete the cameras that are not declared; with ``line`` only those that stand there."""
        for name, row in sorted(self._cameras.items()):
            if name not in self._spec.cameras and line in (None, row["line_id"]):
                yield Change("camera", name, Act.DELETE, make=deleting(partial(self._vigia.remove_camera, name)))

    def prune_lines(self) -> Iterator[Change]:
        """Delete the lines that are not declared; the service keeps those that cameras stand at."""
        for name in sorted(self._lines.keys() - self._spec.lines.keys()):
            yield Change("line", name, Act.DELETE, make=deleting(partial(self._vigia.remove_line, name)))

    def _camera_change(self, name: str, camera: Declared[CameraSpec]) -> Change:
        body = _body(camera.value)
        wanted = _as_shown(body)
        known = self._cameras.get(name)
        needs = tuple(
            (kind, thing) for kind, thing in (("line", camera.value.line), ("project", camera.value.project)) if thing
        )
        change = Change("camera", name, Act.CREATE, needs=needs)
        if known is not None:
            told = list(differences({field: known[field] for field in _FIELDS}, wanted))
            change = Change("camera", name, Act.CHANGE if told else Act.NONE, told, needs=needs)
            if change.act is Act.NONE and wanted["source"] != body["source"]:
                change.note = "its credentials are not shown, so only applying tells whether they differ"
        if change.act is not Act.NONE or change.note:
            change.make = self._put_camera(name, body, known)
        return change

    def _put_line(self, name: str, description: str) -> Any:
        def put() -> bool:
            self._vigia.put_line(name, description)
            return True

        return put

    def _put_camera(self, name: str, body: Json, known: Json | None) -> Any:
        def put() -> bool:
            fields = {key: value for key, value in body.items() if key != "source"}
            answer = self._vigia.put_camera(name, body["source"], **fields)
            return known is None or answer["revision"] != known["revision"]

        return put


def _body(spec: CameraSpec) -> Json:
    """The camera as the API takes it."""
    plain = spec.model_dump(mode="json")
    return {**{field: plain[field] for field in _FIELDS if field != "line_id"}, "line_id": plain["line"]}


def _as_shown(body: Json) -> Json:
    """The camera as the API shows it."""
    source = dict(body["source"])
    if "url" in source:
        source["url"] = shown(source["url"])
    return {**body, "source": source}
