"""The bytes of an image and of its masks."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from vigia_registry.objects import S3Rights
from vigia_registry.trials.domain import Trial, TrialImage
from vigia_registry.trials.errors import ImageNotFound
from vigia_runtime.objects import BucketNotFound, ObjectNotFound, ObjectStore
from vigia_runtime.sealing import SealError
from vigia_vision import DecodeError, probe
from vigia_vision.decode import DEFAULT_LIMITS

#: A sealed object is larger than its content, by less than this.
_SEAL_BYTES: Final = 4096


class Kind(StrEnum):
    FILE = "file"
    MASK = "mask"
    CORRECTED_MASK = "corrected-mask"


async def read_bounded(objects: ObjectStore, bucket: str, key: str) -> bytes | None:
    """The object; None, before it is read, when it is larger than an image may be."""
    if (await objects.head(bucket, key)).size > DEFAULT_LIMITS.max_bytes + _SEAL_BYTES:
        return None
    return await objects.get(bucket, key)


async def read(
    objects: ObjectStore, bucket: str, rights: S3Rights, trial: Trial, image: TrialImage, kind: Kind
) -> tuple[bytes, str]:
    """Bytes and media type; masks lie in ``bucket``. ImageNotFound when there is no mask, the image is gone, or what
    is there is no image that Vigia would decode: nothing else is handed out. AccessDenied when the caller's policies
    do not allow to read a customer's image."""
    place = _place(bucket, trial, image, kind)
    rights.require("GetObject", *place)
    try:
        data = await read_bounded(objects, *place)
        if data is None:
            raise ImageNotFound(f"Image {image.number} is too large to be shown.")
        return data, f"image/{probe(data).format}"
    except (BucketNotFound, ObjectNotFound) as error:
        raise ImageNotFound(error.message) from error
    except (DecodeError, SealError) as error:
        raise ImageNotFound(f"Image {image.number} cannot be shown: {error}.") from error


def _place(bucket: str, trial: Trial, image: TrialImage, kind: Kind) -> tuple[str, str]:
    match kind:
        case Kind.FILE:
            return trial.source.bucket, image.key
        case Kind.MASK if image.areas:
            return bucket, trial.mask_key(image.number)
        case Kind.CORRECTED_MASK if image.corrected_labels is not None:
            return bucket, trial.corrected_mask_key(image.number)
        case _:
            raise ImageNotFound(f"Image {image.number} of trial {trial.name} has no {kind.value}.")
