"""Images, masks and manifest into the object store, and the dataset made of them. What is there already stays.

Objects are named by the digest of their content and datasets are compared entry by entry, so this can be ended at any
moment and begun again: what was done is not done twice.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from botocore.exceptions import ClientError

from vigia_client.datasets.lines import LineError, Note
from vigia_client.datasets.places import Place, last
from vigia_client.datasets.survey import Content, DatasetError, Item, Survey, in_order
from vigia_client.lookout import Json, wait

#: Digits of a digest in an object's name.
_DIGITS: Final = 16
_NAMED: Final = re.compile(rf"([0-9a-f]{{{_DIGITS}}})-")
_LONGEST_NAME: Final = 200
_IMPORT_SECONDS: Final = 1800.0


class AbsentError(Exception):
    """There is no such dataset."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where to: a bucket of the installation's store and a prefix that is empty or ends in a slash."""

    s3: Any
    bucket: str
    prefix: str

    def folder(self, project: str, kind: str) -> str:
        """The key's beginning for all that belongs to one dataset."""
        return f"{self.prefix}{project}/{kind}/"

    def require(self) -> None:
        """DatasetError unless the bucket is there."""
        try:
            self.s3.head_bucket(Bucket=self.bucket)
        except ClientError as error:
            raise DatasetError(f"bucket {self.bucket}: {error.response['Error'].get('Code')}") from error


@dataclass(frozen=True, slots=True)
class Object:
    """An object that the dataset needs, and where its bytes come from."""

    key: str
    content: Content


@dataclass(frozen=True, slots=True)
class Delivery:
    """All that a dataset needs: its entries by image, and the objects of each."""

    target: Target
    folder: str
    entries: dict[str, str]
    objects: dict[str, tuple[Object, ...]]

    @property
    def manifest(self) -> bytes:
        """The entries as a manifest."""
        return "".join(f"{line}\n" for line in self.entries.values()).encode()

    @property
    def digest(self) -> str:
        """What the dataset is made of, as a short text."""
        return hashlib.sha256(self.manifest).hexdigest()[:_DIGITS]

    def missing(self) -> list[Object]:
        """The objects that are not in the store yet."""
        there = set(_keys(self.target, self.folder))
        wanted = {held.key: held for objects in self.objects.values() for held in objects}
        return [held for key, held in wanted.items() if key not in there]

    def without(self, refs: Iterable[str]) -> Delivery:
        """Without what a dataset has under another name: brought in from elsewhere, or to another place."""
        there = {digest: ref for ref in refs if (digest := _digest_in(ref)) is not None}
        kept = {ref: line for ref, line in self.entries.items() if there.get(_digest_in(ref) or "", ref) == ref}
        return replace(self, entries=kept, objects={ref: self.objects[ref] for ref in kept})


def deliver(target: Target, project: str, kind: str, found: Survey) -> Delivery:
    """What the images of a survey become. An entry that would be too long leaves its image out of the survey."""
    folder = target.folder(project, kind)
    objects: dict[str, tuple[Object, ...]] = {}
    entries: dict[str, str] = {}
    too_long: list[tuple[Item, LineError]] = []
    for item in found.items:
        parts = [_object(folder, "images", item.image)]
        if item.mask is not None:
            parts.append(_object(folder, "masks", item.mask))
        uris = [f"s3://{target.bucket}/{part.key}" for part in parts]
        try:
            entries[uris[0]] = item.line.write(uris[0], uris[1] if item.mask is not None else None)
        except LineError as error:
            too_long.append((item, error))
            continue
        objects[uris[0]] = tuple(parts)
    reasons = {id(item): error for item, error in too_long}
    found.drop((item for item, _ in too_long), lambda item: Note(reasons[id(item)].why, str(reasons[id(item)])))
    return Delivery(target, folder, entries, objects)


def send(delivery: Delivery, place: Place, objects: Iterable[Object], told: Callable[[int], None]) -> int:
    """Copy objects from ``place`` to the target; their bytes. DatasetError when one is not what it was."""
    target = delivery.target

    def copy(held: Object) -> int:
        data = place.read(held.content.address, held.content.size)
        if hashlib.sha256(data).hexdigest() != held.content.sha256:
            raise DatasetError(f"{held.content.address} changed while it was read; begin again")
        kind = "image/png" if data.startswith(b"\x89PNG") else "image/jpeg"
        target.s3.put_object(Bucket=target.bucket, Key=held.key, Body=data, ContentType=kind)
        return len(data)

    total = 0
    for count, size in enumerate(in_order(copy, objects), 1):
        total += size
        told(count)
    return total


def send_manifest(delivery: Delivery) -> str:
    """The key of the manifest in the target, which is put there."""
    key = f"{delivery.folder}{delivery.digest}.manifest"
    delivery.target.s3.put_object(Bucket=delivery.target.bucket, Key=key, Body=delivery.manifest)
    return key


class Datasets:
    """The datasets of one installation, over a client of the Lookout for Vision protocol."""

    #: Bytes of one update, at most; the service takes 10 MiB.
    most_bytes = 8 * 1024 * 1024

    def __init__(self, client: Any, told: Callable[[str], None] = lambda _: None) -> None:
        self.client = client
        self._told = told

    def find(self, project: str, kind: str) -> Json | None:
        """The dataset's description once nothing is in progress; None without project or dataset."""

        def look() -> Json:
            return self._describe(project, kind)

        try:
            return wait(
                look,
                lambda status: status.endswith("_IN_PROGRESS"),
                _IMPORT_SECONDS,
                lambda found: self._told(f"{project}/{kind}: {found['Status']}"),
            )
        except (self.client.exceptions.ResourceNotFoundException, AbsentError):
            return None

    def create(self, project: str, kind: str, bucket: str | None = None, key: str | None = None) -> None:
        """A new dataset, empty or from a manifest, once it is complete; DatasetError when its import fails."""
        self._create(project, kind, None if bucket is None or key is None else (bucket, key))
        self._settled(project, kind)

    def delete(self, project: str, kind: str) -> None:
        """Delete a dataset and wait until it is gone; its images stay in the store. DatasetError."""
        self._delete(project, kind)
        if self.find(project, kind) is not None:
            raise DatasetError(f"dataset {project}/{kind} is still there after its deletion")

    def refs(self, project: str, kind: str) -> Iterator[str]:
        """The source-ref of each of its images."""
        for page in self._pages(project, kind):
            for entry in page["DatasetEntries"]:
                yield json.loads(entry)["source-ref"]

    def add(self, project: str, kind: str, entries: Iterable[str]) -> None:
        """Add entries; DatasetError when the service refuses them."""
        for changes in batches(entries, self.most_bytes):
            self._update(project, kind, changes)
            self._settled(project, kind)

    def _settled(self, project: str, kind: str) -> None:
        found = self.find(project, kind)
        if found is None:
            raise DatasetError(f"dataset {project}/{kind} is gone")
        if "FAILED" in found["Status"]:
            raise DatasetError(f"dataset {project}/{kind}: {found['StatusMessage']}")

    # What the protocol says of them.

    def _describe(self, project: str, kind: str) -> Json:
        """Its description now; ResourceNotFoundException or AbsentError without one."""
        found: Json = self.client.describe_dataset(ProjectName=project, DatasetType=kind)["DatasetDescription"]
        return found

    def _create(self, project: str, kind: str, manifest: tuple[str, str] | None) -> None:
        given = {}
        if manifest is not None:
            place = {"Bucket": manifest[0], "Key": manifest[1]}
            given["DatasetSource"] = {"GroundTruthManifest": {"S3Object": place}}
        self.client.create_dataset(ProjectName=project, DatasetType=kind, **given)

    def _delete(self, project: str, kind: str) -> None:
        self.client.delete_dataset(ProjectName=project, DatasetType=kind)

    def _pages(self, project: str, kind: str) -> Iterable[Json]:
        pages: Iterable[Json] = self.client.get_paginator("list_dataset_entries").paginate(
            ProjectName=project, DatasetType=kind, PaginationConfig={"PageSize": 100}
        )
        return pages

    def _update(self, project: str, kind: str, changes: bytes) -> None:
        self.client.update_dataset_entries(ProjectName=project, DatasetType=kind, Changes=changes)


def failed(description: Json) -> bool:
    """Whether its import failed: all of it or nothing comes in, so it is empty."""
    return bool(description["Status"] == "CREATE_FAILED")


def _object(folder: str, kind: str, content: Content) -> Object:
    """Named by its content, and for people by its old name."""
    name = "".join(c if c.isprintable() and c not in "/\\" else "_" for c in last(content.address))
    name = name.encode("utf-8", "replace")[-_LONGEST_NAME:].decode("utf-8", "ignore")
    return Object(f"{folder}{kind}/{content.sha256[:_DIGITS]}-{name}", content)


def _digest_in(ref: str) -> str | None:
    """The digits of the content's digest in the name of an object that came in like this; None in other names."""
    match = _NAMED.match(last(ref))
    return None if match is None else match[1]


def _keys(target: Target, prefix: str) -> Iterator[str]:
    pages = target.s3.get_paginator("list_objects_v2")
    for page in pages.paginate(Bucket=target.bucket, Prefix=prefix):
        for found in page.get("Contents", []):
            yield found["Key"]


def batches(entries: Iterable[str], most: int) -> Iterator[bytes]:
    """Entries as lines, together in pieces of at most so many bytes; one that is longer is a piece by itself."""
    batch: list[bytes] = []
    size = 0
    for entry in entries:
        data = entry.encode() + b"\n"
        if size + len(data) > most and batch:
            yield b"".join(batch)
            batch, size = [], 0
        batch.append(data)
        size += len(data)
    if batch:
        yield b"".join(batch)
