"""Which images are kept, and where they lie."""

from __future__ import annotations

from typing import Final

from vigia_contracts.inspections import Inspection, Verdict

JPEG: Final = "image/jpeg"
PNG: Final = "image/png"
_SUFFIXES: Final = {JPEG: "jpg", PNG: "png"}
_UNKNOWN: Final = "application/octet-stream"


def is_kept(inspection: Inspection, pass_share: float) -> bool:
    """Whether the image is stored. Of PASS a share is, chosen by the inspection's id: again the same when redone."""
    if inspection.verdict is not Verdict.PASS:
        return True
    # The first 32 bits of a UUID of version 5 are hash bits, so they are evenly spread.
    return (inspection.inspection_id.int >> 96) / 2**32 < pass_share


def media_type(image: bytes) -> str:
    """The type of the bytes by their signature, so that a viewer gets a name it can trust."""
    if image.startswith(b"\xff\xd8\xff"):
        return JPEG
    if image.startswith(b"\x89PNG\r\n\x1a\n"):
        return PNG
    return _UNKNOWN


def image_key(inspection: Inspection, image: bytes) -> str:
    """``<account>/<camera>/<yyyy>/<mm>/<dd>/<inspection id>.jpg`` (or ``.png``, or ``.bin`` where it is neither)."""
    return f"{_stem(inspection)}.{_SUFFIXES.get(media_type(image), 'bin')}"


def mask_key(inspection: Inspection) -> str:
    """The mask lies beside its image."""
    return f"{_stem(inspection)}.mask.png"


def _stem(inspection: Inspection) -> str:
    place = inspection.camera_id or inspection.origin.value
    return f"{inspection.account_id}/{place}/{inspection.captured_at:%Y/%m/%d}/{inspection.inspection_id}"
