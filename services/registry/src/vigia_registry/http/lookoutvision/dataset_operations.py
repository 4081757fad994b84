"""CreateDataset, DescribeDataset, DeleteDataset, ListDatasetEntries, UpdateDatasetEntries."""

from __future__ import annotations

import base64
import binascii
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from vigia_contracts.base import ObjectRef
from vigia_registry.datasets import service as datasets
from vigia_registry.datasets.domain import EntryFilter
from vigia_registry.errors import Resource
from vigia_registry.http import members
from vigia_registry.http.lookoutvision import shapes, validation
from vigia_registry.http.lookoutvision.call import Call
from vigia_registry.http.lookoutvision.shapes import Shape
from vigia_registry.objects import fence_of
from vigia_registry.projects import service as projects

_MOST_CHANGES: Final = 10 * 1024 * 1024


async def create_dataset(call: Call) -> Shape:
    """A new dataset: empty, or imported from a manifest."""
    name = validation.project_name(call.path["projectName"])
    kind = validation.dataset_kind(call.body.get("DatasetType"))
    source = _source(call.body.get("DatasetSource"))
    settings = call.deps.settings
    fence = fence_of(settings.buckets, call.owner.account_id)

    async def action(session: AsyncSession) -> Shape:
        await projects.get(session, call.owner, name)
        if source is not None:
            most_bytes = settings.quotas.max_manifest_bytes
            await datasets.check_manifest(call.deps.objects, fence, call.rights, source, most_bytes)
        dataset = await datasets.create(session, call.owner, name, kind, source, call.rights)
        return {"DatasetMetadata": shapes.dataset_metadata(dataset)}

    return await call.once(Resource.DATASET, f"{name}/{kind.value}", action)


async def describe_dataset(call: Call) -> Shape:
    """A dataset and how many images it has."""
    name = validation.project_name(call.path["projectName"])
    kind = validation.dataset_kind(call.path["datasetType"])
    async with call.deps.database.transaction() as session:
        dataset, stats = await datasets.get(session, call.owner, name, kind)
    return {"DatasetDescription": shapes.dataset_description(name, dataset, stats)}


async def delete_dataset(call: Call) -> Shape:
    """Start to delete a dataset."""
    name = validation.project_name(call.path["projectName"])
    kind = validation.dataset_kind(call.path["datasetType"])

    async def action(session: AsyncSession) -> Shape:
        await datasets.delete(session, call.owner, name, kind)
        return {}

    return await call.once(Resource.DATASET, f"{name}/{kind.value}", action)


async def list_dataset_entries(call: Call) -> Shape:
    """Entries of a dataset as JSON Lines."""
    name = validation.project_name(call.path["projectName"])
    kind = validation.dataset_kind(call.path["datasetType"])
    chosen = EntryFilter(
        labeled=validation.flag(call.query.get("labeled"), "labeled"),
        anomaly_class=validation.anomaly_class(call.query.get("anomalyClass")),
        created_before=validation.moment(call.query.get("createdBefore"), "createdBefore"),
        created_after=validation.moment(call.query.get("createdAfter"), "createdAfter"),
        source_contains=members.optional_text(call.query.get("sourceRefContains"), "sourceRefContains", 1, 2048),
    )
    limit = validation.page_size(call.query.get("maxResults"))
    token = validation.page_token(call.query.get("nextToken"))
    async with call.deps.database.transaction() as session:
        page = await datasets.page_of_entries(session, call.pages, call.owner, name, kind, chosen, token, limit)
    return shapes.page("DatasetEntries", [entry.line for entry in page.items], page.next_token)


async def update_dataset_entries(call: Call) -> Shape:
    """Start to add or replace entries."""
    name = validation.project_name(call.path["projectName"])
    kind = validation.dataset_kind(call.path["datasetType"])
    changes = _changes(call.body.get("Changes"))
    bucket = call.deps.settings.buckets.datasets

    async def action(session: AsyncSession) -> Shape:
        dataset = await datasets.update_entries(
            session, call.deps.objects, bucket, call.owner, name, kind, changes, call.rights
        )
        return {"Status": dataset.state.value}

    return await call.once(Resource.DATASET, f"{name}/{kind.value}", action)


def _source(value: object) -> ObjectRef | None:
    if value is None:
        return None
    manifest = members.structure(value, "datasetSource").get("GroundTruthManifest")
    s3_object = members.structure(manifest, "datasetSource.groundTruthManifest").get("S3Object")
    where = "datasetSource.groundTruthManifest.s3Object"
    place = members.structure(s3_object, where)
    return ObjectRef(
        bucket=validation.bucket(place.get("Bucket"), f"{where}.bucket"),
        key=validation.key(place.get("Key"), f"{where}.key"),
        version_id=members.optional_text(place.get("VersionId"), f"{where}.versionId", 1, 1024),
    )


def _changes(value: object) -> bytes:
    if not isinstance(value, str):
        raise members.invalid("null", "changes", "Member must not be null")
    try:
        changes = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise members.invalid("...", "changes", "Member must be base64") from None
    if not 1 <= len(changes) <= _MOST_CHANGES:
        raise members.invalid("...", "changes", f"Member must have length between 1 and {_MOST_CHANGES}")
    return changes
