"""Where the images of a trial lie: addresses, what may be read, and what lies below a prefix."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from vigia_registry.objects import S3Rights, fence_of
from vigia_registry.trials.domain import Source, SourceKind
from vigia_registry.trials.errors import BadTrial, TooManyImages
from vigia_runtime.errors import AccessDenied
from vigia_runtime.objects import BucketNotFound, ObjectStore
from vigia_runtime.settings import BucketSettings

_URI = re.compile(r"s3://([0-9A-Za-z.\-_]{3,63})(?:/(.{0,1024}))?", re.DOTALL)
_IMAGES: Final = (".jpg", ".jpeg", ".png")
#: What Vigia calls the masks that it keeps beside images.
_MASK: Final = ".mask.png"
#: Objects that are looked at below a prefix; of other kinds than images there may be many.
_MOST_OBJECTS: Final = 50_000


def folder(uri: str) -> Source:
    """Everything whose key begins as ``uri`` says; BadTrial."""
    bucket, prefix = _split(uri, "body.source.uri")
    return Source(SourceKind.FOLDER, bucket, prefix)


def listed(uris: Sequence[str], most: int) -> tuple[Source, list[str]]:
    """A list of objects in one bucket, and their keys; BadTrial, TooManyImages."""
    if len(uris) > most:
        raise TooManyImages(most)
    bucket = ""
    keys: dict[str, None] = {}
    for number, uri in enumerate(uris):
        where = f"body.source.uris.{number}"
        other, key = _split(uri, where)
        if not key or key.endswith("/"):
            raise BadTrial(where, "names no object; images are s3://bucket/key")
        bucket = bucket or other
        if other != bucket:
            raise BadTrial(
                where, f"is in bucket {other}; the first image is in bucket {bucket}, and all must be in one"
            )
        if key in keys:
            raise BadTrial(where, f"{uri} is there twice")
        keys[key] = None
    return Source(SourceKind.IMAGES, bucket), list(keys)


def check_readable(buckets: BucketSettings, account_id: str, bucket: str, keys: Sequence[str]) -> None:
    """BadTrial when ``keys`` (or a prefix) lie in a bucket of Vigia's, where other accounts' things lie too."""
    fence = fence_of(buckets, account_id)
    if not all(fence.allows(bucket, key) for key in keys):
        raise BadTrial("body.source", fence.why(bucket))


async def keys_below(objects: ObjectStore, rights: S3Rights, source: Source, most: int) -> list[str]:
    """Keys of the images below a folder's prefix, sorted; BadTrial where there is none, TooManyImages, AccessDenied
    when the caller's policies do not allow to list them or to read one."""
    rights.require_list(source.bucket, source.prefix)
    found: list[str] = []
    seen = 0
    try:
        async for page in objects.pages(source.bucket, prefix=source.prefix):
            seen += len(page)
            found += [info.key for info in page if info.key.lower().endswith(_IMAGES) and not info.key.endswith(_MASK)]
            if len(found) > most:
                raise TooManyImages(most)
            if seen > _MOST_OBJECTS:
                raise BadTrial("body.source.uri", f"there are more than {_MOST_OBJECTS} objects below it")
    except BucketNotFound as error:
        raise BadTrial("body.source", f"bucket {source.bucket} does not exist") from error
    except AccessDenied as error:
        raise BadTrial("body.source", f"bucket {source.bucket} may not be read") from error
    if not found:
        raise BadTrial("body.source.uri", "there is no .jpg, .jpeg or .png below it")
    for key in found:
        rights.require("GetObject", source.bucket, key)
    return sorted(found)


async def check_images(objects: ObjectStore, rights: S3Rights, source: Source, keys: Sequence[str]) -> None:
    """AccessDenied when the caller's policies do not allow to read one, BadTrial when the bucket is not there."""
    for key in keys:
        rights.require("GetObject", source.bucket, key)
    try:
        there = await objects.bucket_exists(source.bucket)
    except AccessDenied as error:
        raise BadTrial("body.source", f"bucket {source.bucket} may not be read") from error
    if not there:
        raise BadTrial("body.source", f"bucket {source.bucket} does not exist")


def _split(uri: str, where: str) -> tuple[str, str]:
    match = _URI.fullmatch(uri)
    if match is None:
        raise BadTrial(where, f"{uri[:256]} is no s3://bucket/key")
    key = match.group(2) or ""
    if "\0" in key or any(part in ("", ".", "..") for part in key.split("/")[:-1]) or key.endswith(("/.", "/..")):
        raise BadTrial(where, "the key has a character or a part that is not allowed")
    return match.group(1), key
