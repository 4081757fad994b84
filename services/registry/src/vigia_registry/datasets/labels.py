"""Reading manifests of Custom Labels: JSON Lines in the shape of SageMaker Ground Truth, one image a line.

What makes the file unusable fails the import, in the service's own words. What makes a line unusable drops the line,
silently, as there, unless these are too many. What is wrong within a line is kept with its entry.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Final

from vigia_contracts import ground_truth
from vigia_registry.datasets.manifest import Entry, ManifestError, bucket_of
from vigia_registry.objects import Fence, S3Rights
from vigia_runtime.errors import AccessDenied
from vigia_runtime.logging import get_logger

log = get_logger(__name__)

#: What the service says of a file that cannot be imported.
UNREADABLE: Final = "The manifest file extension or contents are invalid."
EMPTY: Final = "The manifest file is empty."
TOO_LARGE: Final = "The manifest file size exceeds the maximum supported size."
TOO_MANY_ROWS: Final = "The manifest file has too many rows."
TOO_MANY_ERRORS: Final = "The manifest file has too many terminal errors."
TOO_MANY_LABELS: Final = "The manifest file has too many labels."
FORBIDDEN: Final = "The S3 bucket permissions are incorrect."
SEVERAL_BUCKETS: Final = "The manifest file contains images from multiple S3 buckets."
FORBIDDEN_IMAGES: Final = "The permissions for the images S3 bucket are invalid."
TOO_FEW_IMAGES: Final = "The manifest file doesn't have enough labeled images to distribute the dataset."

#: Nothing is kept of a line beyond that: the reader takes none of these, whatever an earlier validation had put in.
_LONGEST_LINE_BYTES: Final = ground_truth.LIMITS.characters * 16
#: More lines than this share must not be unusable, or the file is.
_MOST_DROPPED: Final = 0.2
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
#: Of an image already seen this is kept, which is shorter than most names.
_DIGEST_BYTES: Final = 16
#: How many numbers of dropped lines are logged.
_LOGGED: Final = 20


async def read_entries(
    chunks: AsyncIterator[bytes],
    most: int,
    most_labels: int,
    bucket: str | None = None,
    fence: Fence | None = None,
    rights: S3Rights | None = None,
    limits: ground_truth.LineLimits = ground_truth.LIMITS,
) -> AsyncIterator[Entry]:
    """Entries of a manifest that comes in pieces; ManifestError where the file as a whole cannot be used.

    Holds one line, a digest of each image and the names of labels, never the manifest. ``most`` is the largest number
    of lines, blank and unusable ones counted, ``most_labels`` that of labels, ``bucket`` the one that the images must
    be in, where it is decided already, ``fence`` what may be named of Vigia's own buckets, ``rights`` what of others,
    ``limits`` what a line may have.
    """
    seen: set[bytes] = set()
    labels: set[str] = set()
    dropped: list[int] = []
    lines = 0
    json_found = False
    async for number, raw in numbered_lines(chunks):
        if number > most:
            raise ManifestError(TOO_MANY_ROWS)
        if raw is not None and not raw.strip():
            continue
        lines += 1
        line = None if raw is None else ground_truth.read_line(raw, limits)
        json_found = json_found or (line is not None and line.fields is not None)
        found = None if line is None else _entry(line)
        if found is None:
            dropped.append(number)
            continue
        digest = hashlib.blake2b(found.source_ref.encode(), digest_size=_DIGEST_BYTES).digest()
        if digest in seen:
            dropped.append(number)
            continue
        seen.add(digest)
        [place] = found.places
        bucket = bucket or place[0]
        if place[0] != bucket:
            raise ManifestError(SEVERAL_BUCKETS)
        _may_be_named(place, fence, rights)
        labels.update(found.labels, found.box_labels)
        if len(labels) > most_labels:
            raise ManifestError(TOO_MANY_LABELS)
        yield found
    if dropped:
        log.warning("lines of a manifest were left out", lines=lines, dropped=len(dropped), first=dropped[:_LOGGED])
    if lines == 0:
        raise ManifestError(EMPTY)
    if not json_found:
        raise ManifestError(UNREADABLE)
    if len(dropped) > lines * _MOST_DROPPED:
        raise ManifestError(TOO_MANY_ERRORS)


def _may_be_named(place: tuple[str, str], fence: Fence | None, rights: S3Rights | None) -> None:
    if fence is not None and not fence.allows(*place):
        raise ManifestError(FORBIDDEN_IMAGES)
    if rights is not None:
        try:
            rights.require("GetObject", *place)
        except AccessDenied as error:
            raise ManifestError(FORBIDDEN_IMAGES) from error


def _entry(line: ground_truth.Line) -> Entry | None:
    """The entry on a line; None where a dataset does without it."""
    if line.source_ref is None or ground_truth.dropped(line):
        return None
    try:
        bucket = bucket_of(line.source_ref)
    except ManifestError:  # no object of the store can be called so
        return None
    errors = [{"code": one.code, "message": one.message, "where": list(one.where)} for one in line.errors]
    return Entry(
        source_ref=line.source_ref,
        line=line.text,
        anomaly_class=None,
        labels=line.image_labels,
        places=((bucket, line.source_ref.removeprefix(f"s3://{bucket}/")),),
        box_labels=line.box_labels,
        labeled=line.labeled,
        errors=errors or None,
    )


async def numbered_lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[tuple[int, bytes | None]]:
    """Numbered lines, blank ones too; None for one that is far too long, of which nothing is kept."""
    rest, number, skipping = b"", 0, False
    async for chunk in chunks:
        first, *more = chunk.split(b"\n")
        if number == 0 and not skipping and not rest:
            first = first.removeprefix(_BYTE_ORDER_MARK)
        rest = b"" if skipping else rest + first
        for following in more:
            number += 1
            yield number, None if skipping else rest
            rest, skipping = following, False
        if len(rest) > _LONGEST_LINE_BYTES:
            rest, skipping = b"", True
    if rest or skipping:
        yield number + 1, None if skipping else rest
