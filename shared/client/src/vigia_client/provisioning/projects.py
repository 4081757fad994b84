"""Projects and datasets, through the Lookout for Vision protocol and the object store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from vigia_client.datasets.delivery import Datasets, Delivery, Target, deliver, failed, send, send_manifest
from vigia_client.datasets.lines import LineError, lines_of, read_line
from vigia_client.datasets.places import Bucket, Folder, split
from vigia_client.datasets.resolve import Resolver
from vigia_client.datasets.survey import (
    MOST_IMAGES,
    DatasetError,
    Remark,
    Survey,
    folder_lines,
    keep_one_size,
    manifest_lines,
    survey,
)
from vigia_client.errors import ActionableError
from vigia_client.lookout import Json
from vigia_client.provisioning.changes import Act, Change
from vigia_client.provisioning.documents import Problem
from vigia_client.provisioning.spec import Declared, ProjectSpec, Spec

#: So many wrong images of a dataset are named one by one.
_NAMED: Final = 20
_MASKS: Final = "mask_"


@dataclass(slots=True)
class _Held:
    """What a declared dataset is made of: objects to send, or entries of a manifest in the store."""

    entries: dict[str, str] = field(default_factory=dict)
    delivery: Delivery | None = None
    folder: Folder | None = None
    manifest: tuple[str, str] | None = None
    found: Survey | None = None


class Projects:
    """What the installation has now, against what is declared. ``say`` is told what is being done."""

    def __init__(self, lookout: Any, target: Target | None, s3: Any, spec: Spec, say: Callable[[str], None]) -> None:
        self._lookout = lookout
        self._target = target
        self._s3 = s3
        self._spec = spec
        self._say = say
        self._datasets = Datasets(lookout, say)
        self._held: dict[tuple[str, str], _Held] = {}

    @cached_property
    def _known(self) -> set[str]:
        pages = self._lookout.get_paginator("list_projects").paginate()
        return {project["ProjectName"] for page in pages for project in page["Projects"]}

    def names(self) -> set[str]:
        """Projects that there are or will be."""
        return self._known | self._spec.projects.keys()

    def problems(self) -> Iterator[Problem]:
        """What is wrong with the datasets: every file is looked at."""
        for project in self._spec.projects.values():
            local: dict[str, _Held] = {}
            for kind, dataset in project.value.datasets.items():
                held = self._held[project.name, kind] = _Held()
                remote = split(dataset.manifest) if dataset.manifest else None
                try:
                    if dataset.manifest is not None and dataset.manifest.startswith("s3:"):
                        if remote is None or dataset.images is not None:
                            raise DatasetError("a manifest in the store is s3://bucket/key, and names its own images")
                        self._read_remote(held, kind, *remote)
                    elif dataset.manifest is not None or dataset.images is not None:
                        self._survey(held, project, kind)
                        local[kind] = held
                except ActionableError as error:
                    yield project.problem(f"{kind}: {error}", kind)
                    local.pop(kind, None)
            keep_one_size(held.found for held in local.values() if held.found is not None)
            for kind, held in local.items():
                yield from self._settle(project, kind, held)

    def changes(self) -> Iterator[Change]:
        for name, project in sorted(self._spec.projects.items()):
            exists = name in self._known
            change = Change("project", name, Act.NONE if exists else Act.CREATE)
            if not exists:
                change.make = self._create_project(name)
            yield change
            for kind in project.value.datasets:
                yield self._dataset_change(name, kind, exists)

    def prune_datasets(self) -> Iterator[Change]:
        """Delete the datasets that declared projects have and do not declare."""
        for name, project in sorted(self._spec.projects.items()):
            for kind in ("test", "train"):
                if kind not in project.value.datasets and (known := self._datasets.find(name, kind)) is not None:
                    change = Change("dataset", f"{name}/{kind}", Act.DELETE, [_images(known, 0)])
                    change.make = self._delete_dataset(name, kind)
                    yield change

    def prune_projects(self) -> Iterator[Change]:
        """Delete the projects that are not declared, with their datasets. DatasetError where one has model versions."""
        for name in sorted(self._known - self._spec.projects.keys()):
            if self._lookout.list_models(ProjectName=name, MaxResults=1)["Models"]:
                raise DatasetError(f"project {name} has model versions; nothing here deletes those")
            needs = []
            for kind in ("test", "train"):
                if (known := self._datasets.find(name, kind)) is not None:
                    needs.append(("dataset", f"{name}/{kind}"))
                    change = Change("dataset", f"{name}/{kind}", Act.DELETE, [_images(known, 0)])
                    change.make = self._delete_dataset(name, kind)
                    yield change
            yield Change("project", name, Act.DELETE, needs=tuple(needs), make=self._delete_project(name))

    def _read_remote(self, held: _Held, kind: str, bucket: str, key: str) -> None:
        """The entries of a manifest in the store; PlaceError, DatasetError."""
        place = Bucket(self._s3, bucket)
        held.manifest = (bucket, key)
        for number, raw in lines_of(place.chunks(f"s3://{bucket}/{key}")):
            try:
                ref = read_line(raw).ref
            except LineError as error:
                raise DatasetError(f"s3://{bucket}/{key}:{number}: {error}") from error
            held.entries[ref] = raw.decode("utf-8-sig").strip()
            if len(held.entries) > MOST_IMAGES[kind]:
                raise DatasetError(f"s3://{bucket}/{key}: more than {MOST_IMAGES[kind]} images")
        if not held.entries:
            raise DatasetError(f"s3://{bucket}/{key}: no images")

    def _survey(self, held: _Held, project: Declared[ProjectSpec], kind: str) -> None:
        """Look at the images of a dataset on this machine; DatasetError, PlaceError."""
        if self._target is None:
            raise DatasetError("images of this machine need a bucket: --bucket, or VIGIA_BUCKET")
        dataset = project.value.datasets[kind]
        manifest = None if dataset.manifest is None else project.folder / dataset.manifest
        folder = project.folder / dataset.images if dataset.images is not None else (manifest or Path()).parent
        if not folder.is_dir():
            raise DatasetError(f"{folder} is no folder")
        self._target.require()
        held.folder = Folder(folder)

        def tick(count: int) -> None:
            if count % 20 == 0:
                self._say(f"{project.name}/{kind}: {count} looked at")

        if manifest is None:
            named = folder_lines(held.folder, "")
            held.found = survey(held.folder, named, None, MOST_IMAGES[kind], tick)
        else:
            lines = manifest_lines(Folder(manifest.parent), manifest.name)
            held.found = survey(held.folder, lines, Resolver(held.folder, [""]), MOST_IMAGES[kind], tick)

    def _settle(self, project: Declared[ProjectSpec], kind: str, held: _Held) -> Iterator[Problem]:
        """What cannot be used is wrong here: whoever declares a dataset means all of it."""
        assert held.found is not None
        assert self._target is not None
        held.delivery = deliver(self._target, project.name, kind, held.found)
        held.entries = held.delivery.entries
        wrong = [remark for remark in held.found.remarks if remark.out or remark.note.why.startswith(_MASKS)]
        for remark in wrong[:_NAMED]:
            yield project.problem(f"{kind}: {_said(remark)}", kind)
        if len(wrong) > _NAMED:
            yield project.problem(f"{kind}: {len(wrong) - _NAMED} more images are wrong", kind)
        if not wrong and not held.entries:
            yield project.problem(f"{kind}: no images", kind)

    def _dataset_change(self, project: str, kind: str, exists: bool) -> Change:
        held = self._held[project, kind]
        change = Change("dataset", f"{project}/{kind}", Act.CREATE, needs=(("project", project),))
        known = self._datasets.find(project, kind) if exists else None
        added = held.entries
        if known is not None and not failed(known):
            there = set(self._datasets.refs(project, kind)) if added else set()
            if held.delivery is not None:
                held.delivery = held.delivery.without(there)
                added = held.delivery.entries
            added = {ref: line for ref, line in added.items() if ref not in there}
            change.act = Act.CHANGE if added else Act.NONE
        missing = [] if held.delivery is None else held.delivery.missing()
        if change.act is not Act.NONE:
            change.differences = [_images(known, len(added))]
        if missing:
            change.note = f"{len(missing)} files to send"
        if known is not None and failed(known):
            change.note = f"its import failed, it is made again ({known['StatusMessage']})"
        if change.act is not Act.NONE or missing:
            change.make = self._make_dataset(project, kind, held, known, added)
        return change

    def _make_dataset(
        self, project: str, kind: str, held: _Held, known: Json | None, added: dict[str, str]
    ) -> Callable[[], bool]:
        def make() -> bool:
            if held.delivery is not None and held.folder is not None:
                objects = held.delivery.missing()
                send(held.delivery, held.folder, objects, lambda count: self._say(f"{project}/{kind}: {count} sent"))
            if known is not None and not failed(known):
                if added:
                    self._datasets.add(project, kind, added.values())
                return True
            if known is not None:
                self._datasets.delete(project, kind)
            place = held.manifest
            if held.delivery is not None:
                place = (held.delivery.target.bucket, send_manifest(held.delivery))
            self._datasets.create(project, kind, *(place or ()))
            return True

        return make

    def _create_project(self, name: str) -> Callable[[], bool]:
        def create() -> bool:
            try:
                self._lookout.create_project(ProjectName=name)
            except self._lookout.exceptions.ConflictException:
                self._lookout.describe_project(ProjectName=name)  # made in between, and not on its way out
                return False
            return True

        return create

    def _delete_dataset(self, project: str, kind: str) -> Callable[[], bool]:
        def delete() -> bool:
            self._datasets.delete(project, kind)
            return True

        return delete

    def _delete_project(self, name: str) -> Callable[[], bool]:
        def delete() -> bool:
            self._lookout.delete_project(ProjectName=name)
            return True

        return delete


def _images(known: Json | None, wanted: int) -> tuple[str, int | None, int]:
    """How many images there are, and will be (0: none any more)."""
    total = 0 if known is None else int(known["ImageStats"]["Total"])
    return "images", total if known is not None else None, total + wanted if wanted else 0


def _said(remark: Remark) -> str:
    image = f"{remark.ref}: " if remark.ref not in ("", remark.where) else ""
    return f"{remark.where}: {image}{remark.note.why.value}: {remark.note.detail}"
