"""CreateDataset, DescribeDataset, DeleteDataset; ListDatasetEntries, ListDatasetLabels; UpdateDatasetEntries,
DistributeDatasetEntries."""

from __future__ import annotations

from typing import Final

from vigia_contracts.base import ObjectRef
from vigia_registry.datasets import service as datasets
from vigia_registry.datasets.domain import DatasetRef, EntryFilter, dataset_arn
from vigia_registry.errors import Resource
from vigia_registry.http.customlabels import shapes, validation
from vigia_registry.http.customlabels.call import Call, Shape
from vigia_registry.http.members import invalid, optional_text, structure
from vigia_registry.objects import fence_of
from vigia_registry.projects import service as projects
from vigia_registry.tags import service as tags

_MOST_CHANGES: Final = 5_242_880
_MOST_LABELS: Final = 10
_DISTRIBUTED: Final = 2


async def create_dataset(call: Call) -> Shape:
    """A new dataset: empty, imported from a manifest, or a copy of another one.

    Whether a manifest is there and can be read, the import finds out, and the dataset's status says.
    """
    project_arn = validation.project_arn(call.body.get("ProjectArn"))
    kind = validation.dataset_kind(call.body.get("DatasetType"))
    given = _source(call.body.get("DatasetSource"))
    named = validation.tags(call.body.get("Tags"))
    settings = call.deps.settings
    if isinstance(given, ObjectRef):
        datasets.check_named(fence_of(settings.buckets, call.owner.account_id), call.rights, given)
    async with call.change() as session:
        project = await projects.by_arn(session, call.owner, project_arn)
        source: ObjectRef | DatasetRef | None
        source = await datasets.to_copy(session, call.owner, given) if isinstance(given, str) else given
        dataset = await datasets.create(session, call.owner, project.name, kind, source, call.rights)
        arn = dataset_arn(project, dataset)
        await tags.put(session, Resource.DATASET, arn, named, settings.limits.tags)
    return {"DatasetArn": arn}


async def describe_dataset(call: Call) -> Shape:
    """What became of the last operation on a dataset, and what it holds."""
    arn = _arn(call)
    async with call.read() as session:
        _, dataset = await datasets.by_arn(session, call.owner, arn)
    return {"DatasetDescription": shapes.dataset_description(dataset)}


async def list_dataset_entries(call: Call) -> Shape:
    """Entries as JSON Lines, in the order in which they came."""
    arn = _arn(call)
    chosen = EntryFilter(
        labeled=validation.flag(call.body.get("Labeled"), "labeled"),
        source_contains=optional_text(call.body.get("SourceRefContains"), "sourceRefContains", 1, 2048),
        labels=tuple(validation.texts(call.body.get("ContainsLabels"), "containsLabels", _MOST_LABELS)),
        # False is sent by those who want all.
        faulty=validation.flag(call.body.get("HasErrors"), "hasErrors") or False,
    )
    limit = validation.page_size(call.body.get("MaxResults"))
    token = validation.page_token(call.body.get("NextToken"))
    async with call.read() as session:
        project, dataset = await datasets.by_arn(session, call.owner, arn)
        page = await datasets.page_of_entries(
            session, call.pages, call.owner, project.name, dataset.kind, chosen, token, limit
        )
    return shapes.page("DatasetEntries", [shapes.dataset_entry(entry) for entry in page.items], page.next_token)


async def list_dataset_labels(call: Call) -> Shape:
    """Labels of a dataset, by name, and how many images have them."""
    arn = _arn(call)
    limit = validation.page_size(call.body.get("MaxResults"))
    token = validation.page_token(call.body.get("NextToken"))
    async with call.read() as session:
        page = await datasets.page_of_labels(session, call.pages, call.owner, arn, token, limit)
    described = [shapes.dataset_label(label) for label in page.items]
    return shapes.page("DatasetLabelDescriptions", described, page.next_token)


async def update_dataset_entries(call: Call) -> Shape:
    """Start to add or replace entries."""
    arn = _arn(call)
    given = structure(call.body.get("Changes"), "changes").get("GroundTruth")
    changes = validation.blob(given, "changes.groundTruth", _MOST_CHANGES)
    bucket = call.deps.settings.buckets.datasets
    async with call.change() as session:
        project, dataset = await datasets.lock_by_arn(session, call.owner, arn)
        await datasets.update_entries(
            session, call.deps.objects, bucket, call.owner, project.name, dataset.kind, changes, call.rights
        )
    return {}


async def distribute_dataset_entries(call: Call) -> Shape:
    """Start to move a share of a training dataset's entries to the project's empty test dataset."""
    given = call.body.get("Datasets")
    if given is None:
        raise invalid("null", "datasets", "Member must not be null")
    if not isinstance(given, list):
        raise invalid(given, "datasets", "Member must be a list")
    if len(given) != _DISTRIBUTED:
        raise invalid(len(given), "datasets", f"Member must have length {_DISTRIBUTED}")
    arns = []
    for index, item in enumerate(given, 1):
        where = f"datasets.{index}.member"
        arns.append(validation.dataset_arn(structure(item, where).get("Arn"), f"{where}.arn"))
    async with call.change() as session:
        await datasets.distribute(session, call.owner, arns)
    return {}


async def delete_dataset(call: Call) -> Shape:
    """Start to delete a dataset; its images stay."""
    arn = _arn(call)
    async with call.change() as session:
        project, dataset = await datasets.lock_by_arn(session, call.owner, arn)
        await datasets.delete(session, call.owner, project.name, dataset.kind)
    return {}


def _arn(call: Call) -> str:
    return validation.dataset_arn(call.body.get("DatasetArn"))


def _source(value: object) -> ObjectRef | str | None:
    """A manifest, or the ARN of a dataset to copy; None for an empty dataset."""
    if value is None:
        return None
    source = structure(value, "datasetSource")
    manifest, arn = source.get("GroundTruthManifest"), source.get("DatasetArn")
    if (manifest is None) == (arn is None):
        constraint = "Member must have one of groundTruthManifest and datasetArn"
        raise invalid("both" if arn is not None else "neither", "datasetSource", constraint)
    if arn is not None:
        return validation.dataset_arn(arn, "datasetSource.datasetArn")
    where = "datasetSource.groundTruthManifest"
    return validation.s3_object(structure(manifest, where).get("S3Object"), f"{where}.s3Object")
