"""The report that training left beside a version's evaluation files, in the customer's bucket."""

from __future__ import annotations

from typing import Final

from vigia_registry.models.domain import ModelVersion
from vigia_registry.models.errors import ReportNotFound
from vigia_registry.models.outputs import ReportKind
from vigia_registry.objects import S3Rights
from vigia_runtime.errors import AccessDenied, NotFound
from vigia_runtime.objects import ObjectStore

#: Training writes at most 3 MB; whatever is larger somebody else put there.
_MOST_BYTES: Final = 4 * 1024 * 1024


async def read(objects: ObjectStore, rights: S3Rights, project: str, model: ModelVersion, kind: ReportKind) -> bytes:
    """The report as it lies there now. ReportNotFound where it was never written, is gone, or the store refuses it;
    AccessDenied when the caller's policies do not allow to read it."""
    result = model.evaluation_result
    if result is None:
        raise ReportNotFound(project, model.version, "it was not evaluated")
    folder = result.key[: result.key.rfind("/") + 1]
    key = folder + kind.of(project, model.called)
    rights.require("GetObject", result.bucket, key)
    try:
        size = (await objects.head(result.bucket, key)).size
        data = await objects.get(result.bucket, key) if size <= _MOST_BYTES else None
    except (NotFound, AccessDenied) as error:
        raise ReportNotFound(project, model.version, error.message) from error
    if data is None:
        raise ReportNotFound(project, model.version, f"s3://{result.bucket}/{key} is too large to be one")
    return data
