"""Where files lie: a folder, or a prefix of a bucket. Only read, never written.

A file's address is a text: below a folder its path with slashes, in a bucket ``s3://bucket/key``. ``root`` is the
address of the place itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from botocore.exceptions import ClientError

from vigia_client.errors import ActionableError

_CHUNK: Final = 1 << 20
_URI: Final = re.compile(r"s3:\s*//(?P<bucket>[^/]+)/(?P<key>.+)", re.DOTALL)


class PlaceError(ActionableError):
    """A file cannot be had; the text says which and why."""


class MissingError(PlaceError):
    """There is no such file."""


class UnreadableError(PlaceError):
    """It may not be read."""


class TooLargeError(PlaceError):
    """It has more bytes than are read."""


@dataclass(frozen=True, slots=True)
class File:
    """A file that was listed; ``size`` in bytes."""

    address: str
    size: int


class Place(Protocol):
    """Somewhere files can be read."""

    @property
    def root(self) -> str: ...

    @property
    def name(self) -> str: ...

    def files(self, folder: str | None = None) -> Iterator[File]:
        """Every file below the folder of that address (None: of the place), by name within each; PlaceError."""

    def exists(self, address: str) -> bool:
        """Whether there is such a file."""

    def has_folder(self, address: str) -> bool:
        """Whether anything is below it."""

    def read(self, address: str, most: int) -> bytes:
        """Its bytes; MissingError, UnreadableError, TooLargeError."""

    def chunks(self, address: str) -> Iterator[bytes]:
        """Its bytes in pieces; MissingError, UnreadableError."""


def split(uri: str) -> tuple[str, str] | None:
    """Bucket and key of ``s3://bucket/key``, None for anything else."""
    match = _URI.fullmatch(uri)
    return None if match is None else (match["bucket"].strip(), match["key"])


def join(folder: str, name: str) -> str:
    """The address of ``name`` in the folder of that address."""
    return f"{folder}/{name}" if folder else name


def below(root: str, address: str) -> str:
    """The address as seen from ``root``, that it is below."""
    return address.removeprefix(root).removeprefix("/") if root else address


def parent(address: str) -> str:
    """The address of the folder that it is in."""
    return address.rpartition("/")[0]


def last(address: str) -> str:
    """Its own name."""
    return address.rpartition("/")[2]


class Folder:
    """A folder of this machine."""

    root = ""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def name(self) -> str:
        return self._path.resolve().name

    def __str__(self) -> str:
        return str(self._path)

    def files(self, folder: str | None = None) -> Iterator[File]:
        for held, names, files in os.walk(self._at(folder or "")):
            names.sort()
            for name in sorted(files):
                path = Path(held, name)
                try:
                    size = path.stat().st_size
                except OSError:
                    continue  # a link to nothing: whoever names it is told that it is missing
                yield File(path.relative_to(self._path).as_posix(), size)

    def exists(self, address: str) -> bool:
        try:
            return self._at(address).is_file()
        except (OSError, ValueError):
            return False

    def has_folder(self, address: str) -> bool:
        try:
            return self._at(address).is_dir()
        except (OSError, ValueError):
            return False

    def read(self, address: str, most: int) -> bytes:
        return b"".join(_limited(self.chunks(address), address, most))

    def chunks(self, address: str) -> Iterator[bytes]:
        try:
            with self._at(address).open("rb") as file:
                while chunk := file.read(_CHUNK):
                    yield chunk
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise MissingError(f"{address} does not exist") from error
        except (OSError, ValueError) as error:
            raise UnreadableError(f"{address}: {getattr(error, 'strerror', None) or error}") from error

    def _at(self, address: str) -> Path:
        """ValueError for what would lie outside the folder: a manifest is not trusted to name any file there is."""
        if address.startswith("/") or ".." in address.split("/"):
            raise ValueError("outside the folder")
        return self._path / address


class Bucket:
    """Objects below ``prefix`` of a bucket, through a boto3 client. ``without``: a prefix that is not listed."""

    def __init__(self, s3: Any, bucket: str, prefix: str = "", without: str | None = None) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._prefix = prefix.strip("/")
        self._without = without

    @property
    def root(self) -> str:
        return f"s3://{self._bucket}" + (f"/{self._prefix}" if self._prefix else "")

    @property
    def name(self) -> str:
        return last(self._prefix) or self._bucket

    def __str__(self) -> str:
        return self.root

    def files(self, folder: str | None = None) -> Iterator[File]:
        pages = self._s3.get_paginator("list_objects_v2")
        prefix = below(f"s3://{self._bucket}", folder or self.root)
        try:
            for page in pages.paginate(Bucket=self._bucket, Prefix=f"{prefix}/" if prefix else ""):
                for found in page.get("Contents", []):
                    key = found["Key"]
                    if key.endswith("/") or (self._without is not None and key.startswith(self._without)):
                        continue
                    yield File(f"s3://{self._bucket}/{key}", found["Size"])
        except ClientError as error:
            raise _place_error(error, self.root) from error

    def exists(self, address: str) -> bool:
        place = split(address)
        if place is None:
            return False
        try:
            self._s3.head_object(Bucket=place[0], Key=place[1])
        except ClientError as error:
            # 400: names that no bucket can have; 403: a key without the right to list is told so of what is missing.
            if error.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 403, 404):
                return False
            raise
        return True

    def has_folder(self, address: str) -> bool:
        place = split(f"{address}/")
        if place is None:
            return False
        try:
            found = self._s3.list_objects_v2(Bucket=place[0], Prefix=place[1], MaxKeys=1)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 403, 404):
                return False
            raise
        return bool(found.get("KeyCount"))

    def read(self, address: str, most: int) -> bytes:
        return b"".join(_limited(self.chunks(address), address, most))

    def chunks(self, address: str) -> Iterator[bytes]:
        place = split(address)
        if place is None:
            raise MissingError(f"{address} is no s3:// address")
        try:
            body = self._s3.get_object(Bucket=place[0], Key=place[1])["Body"]
        except ClientError as error:
            raise _place_error(error, address) from error
        with body:
            yield from body.iter_chunks(_CHUNK)


def _limited(chunks: Iterator[bytes], address: str, most: int) -> Iterator[bytes]:
    read = 0
    for chunk in chunks:
        read += len(chunk)
        if read > most:
            raise TooLargeError(f"{address} has more than {most} bytes")
        yield chunk


def _place_error(error: ClientError, address: str) -> PlaceError:
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    if status == 404:
        return MissingError(f"{address} does not exist")
    return UnreadableError(f"{address}: {error.response['Error'].get('Code')}")
