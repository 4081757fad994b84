"""Verified images of a trial into the dataset that the next version is trained on.

All images of a dataset, and their masks, are in one bucket. What is a customer's stays where it is and must be there;
what Vigia keeps itself (uploads, evidence, masks) is copied there, below :func:`prefix_in`. The dataset then changes
as by UpdateDatasetEntries. Adding again writes the same objects and the same lines.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from vigia_registry.datasets import repository as dataset_rows
from vigia_registry.datasets import service as datasets
from vigia_registry.datasets.domain import Dataset, DatasetKind
from vigia_registry.datasets.manifest import bucket_of
from vigia_registry.identity.domain import Owner
from vigia_registry.objects import S3Rights
from vigia_registry.projects import service as projects
from vigia_registry.trials import repository, service
from vigia_registry.trials.content import read_bounded
from vigia_registry.trials.domain import Trial, TrialImage, Verification, safe_name
from vigia_registry.trials.errors import ImageNotFound, NotVerified, OtherBucket, TrialChanged
from vigia_runtime.errors import NotFound
from vigia_runtime.objects import ObjectStore
from vigia_runtime.sealing import Seal
from vigia_runtime.settings import BucketSettings

_COPIES_AT_ONCE: Final = 8
_CLASSIFICATION: Final = "groundtruth/image-classification"
_SEGMENTATION: Final = "groundtruth/semantic-segmentation"
_BACKGROUND: Final = {"class-name": "BACKGROUND", "hex-color": "#ffffff", "confidence": 0.0}


@dataclass(frozen=True, slots=True)
class Copy:
    """An object that must be there before the dataset names it: (bucket, key) of both. In a customer's bucket it is
    not sealed: others read there too."""

    source: tuple[str, str]
    target: tuple[str, str]
    seal: Seal | None


@dataclass(frozen=True, slots=True)
class Addition:
    """What is to be added: images as they were verified, what must be copied before, and the dataset's lines.

    ``refs`` are the images' source-refs by their numbers.
    """

    trial: Trial
    images: tuple[TrialImage, ...]
    copies: tuple[Copy, ...]
    lines: bytes
    refs: Mapping[int, str]


async def plan(
    session: AsyncSession, buckets: BucketSettings, owner: Owner, trial_id: UUID, numbers: Sequence[int] | None
) -> Addition:
    """What adding some images means, or all that are verified and not in the dataset; nothing is changed.

    TrialNotFound, ImageNotFound, NotVerified, DatasetNotFound, OtherBucket.
    """
    trial = await service.find(session, owner, trial_id)
    dataset, _ = await datasets.get(session, owner, trial.project, DatasetKind.TRAIN)
    images = await _chosen(session, trial, numbers)
    unverified = [image.number for image in images if image.true_class is None]
    if unverified:
        raise NotVerified(unverified)
    known = await dataset_rows.first_source_ref(session, dataset.id)
    bucket = _bucket(trial, buckets, None if known is None else bucket_of(known))
    return _addition(trial, images, buckets.datasets, bucket)


def check(rights: S3Rights, addition: Addition) -> None:
    """AccessDenied when the caller's policies do not allow to read the images or to write the copies."""
    for image in addition.images:
        rights.require("GetObject", addition.trial.source.bucket, image.key)
    for wanted in addition.copies:
        rights.require("PutObject", *wanted.target)


async def copy(objects: ObjectStore, addition: Addition) -> None:
    """Copy what must be copied. ImageNotFound when an image is there no more. Safe to repeat."""
    for begin in range(0, len(addition.copies), _COPIES_AT_ONCE):
        batch = addition.copies[begin : begin + _COPIES_AT_ONCE]
        await asyncio.gather(*(_copy(objects, wanted) for wanted in batch))


async def _copy(objects: ObjectStore, wanted: Copy) -> None:
    try:
        data = await read_bounded(objects, *wanted.source)
    except NotFound as error:
        raise ImageNotFound(error.message) from error
    if data is None:
        raise ImageNotFound(f"s3://{wanted.source[0]}/{wanted.source[1]} is larger than an image may be")
    await objects.put(*wanted.target, data, seal=wanted.seal)


async def commit(
    session: AsyncSession, objects: ObjectStore, bucket: str, owner: Owner, addition: Addition, rights: S3Rights
) -> Dataset:
    """Start to change the dataset; ``bucket`` is ours, where changes wait. TrialChanged, DatasetNotFound, DatasetBusy.

    An addition of nothing changes nothing.
    """
    trial = addition.trial
    if not addition.images:
        dataset, _ = await datasets.get(session, owner, trial.project, DatasetKind.TRAIN)
        return dataset
    await projects.lock_active(session, owner, trial.project)
    await service.lock(session, owner, trial.id)
    if tuple(await repository.images(session, trial.id, list(addition.refs))) != addition.images:
        raise TrialChanged(trial.name)
    await repository.given(session, trial.id, addition.refs)
    return await datasets.update_entries(
        session, objects, bucket, owner, trial.project, DatasetKind.TRAIN, addition.lines, rights
    )


def prefix_in(trial: Trial) -> str:
    """Where in a customer's bucket copies for the dataset lie."""
    return f"vigia-trials/{trial.project}/{trial.id}/"


async def _chosen(session: AsyncSession, trial: Trial, numbers: Sequence[int] | None) -> list[TrialImage]:
    if numbers is None:
        return await repository.to_add(session, trial.id)
    return await service.images(session, trial, numbers)


def _bucket(trial: Trial, buckets: BucketSettings, dataset_bucket: str | None) -> str:
    """The bucket in which the images are, or will be; OtherBucket."""
    theirs = trial.source.bucket
    if theirs == dataset_bucket:
        return theirs
    if theirs in (buckets.datasets, buckets.evidence, buckets.frames, buckets.artifacts):
        return dataset_bucket or buckets.datasets
    if dataset_bucket is not None:
        raise OtherBucket(theirs, dataset_bucket)
    return theirs


def _addition(trial: Trial, images: Sequence[TrialImage], own: str, bucket: str) -> Addition:
    prefix = f"{trial.prefix}dataset/" if bucket == own else prefix_in(trial)
    seal = service.seal_of(trial) if bucket == own else None
    copies, lines, refs = [], [], {}
    for image in images:
        key = image.key
        if trial.source.bucket != bucket:
            key = f"{prefix}images/{image.number:05d}-{safe_name(image.name)}"
            copies.append(Copy((trial.source.bucket, image.key), (bucket, key), seal))
        refs[image.number] = f"s3://{bucket}/{key}"
        mask = _mask(trial, image)
        mask_ref = None
        if mask is not None:
            target = f"{prefix}masks/{image.number:05d}.png"
            copies.append(Copy((own, mask), (bucket, target), seal))
            mask_ref = f"s3://{bucket}/{target}"
        line = _line(trial, image, refs[image.number], mask_ref)
        lines.append(json.dumps(line, ensure_ascii=False, separators=(",", ":")))
    return Addition(trial, tuple(images), tuple(copies), "".join(f"{line}\n" for line in lines).encode(), refs)


def _mask(trial: Trial, image: TrialImage) -> str | None:
    """The key of the mask that a person gave or confirmed; None where there is none, or the one there is wrong."""
    if image.corrected_labels is not None:
        return trial.corrected_mask_key(image.number)
    if image.verification is Verification.CORRECT and image.areas:
        return trial.mask_key(image.number)
    return None


def _line(trial: Trial, image: TrialImage, source_ref: str, mask_ref: str | None) -> dict[str, Any]:
    """The image's entry, in the shape of SageMaker Ground Truth. The colour map has the mask's labels and no others:
    images that declare one label only are what training counts."""
    about = {"human-annotated": "yes", "creation-date": _utc(image.verified_at), "job-name": f"trial/{trial.name}"}
    line: dict[str, Any] = {
        "source-ref": source_ref,
        "anomaly-label": 1 if image.true_class == "anomaly" else 0,
        "anomaly-label-metadata": {
            "class-name": image.true_class,
            "confidence": 1,
            "type": _CLASSIFICATION,
            **about,
        },
    }
    if mask_ref is not None:
        names = image.corrected_labels or [area.name for area in image.areas]
        present = [label for label in trial.labels if label.name in names]
        colors = [
            _BACKGROUND,
            *({"class-name": label.name, "hex-color": label.color, "confidence": 0.0} for label in present),
        ]
        line["anomaly-mask-ref"] = mask_ref
        line["anomaly-mask-ref-metadata"] = {
            "internal-color-map": {str(index): color for index, color in enumerate(colors)},
            "type": _SEGMENTATION,
            **about,
        }
    return line


def _utc(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).replace(tzinfo=None).isoformat()
