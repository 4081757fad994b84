"""Datasets and their entries in the database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from psycopg.types.json import Jsonb
from pydantic import TypeAdapter
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    CursorResult,
    Identity,
    MetaData,
    RowMapping,
    Select,
    Table,
    Text,
    delete,
    func,
    lateral,
    literal,
    or_,
    select,
    text,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.schema import CreateTable

from vigia_contracts.base import ObjectRef
from vigia_registry.datasets.domain import (
    TRANSITIONS,
    Dataset,
    DatasetKind,
    DatasetRef,
    DatasetState,
    EntryFilter,
    EntryStats,
    Fault,
    ImageStats,
    LabelUse,
    ListedEntry,
    unusable,
)
from vigia_registry.datasets.manifest import Entry
from vigia_registry.datasets.tables import dataset_entries, datasets
from vigia_registry.identity.domain import Owner, Service
from vigia_registry.projects.tables import projects
from vigia_registry.states import step
from vigia_runtime.postgres import copy_rows

_COLUMNS = (
    datasets.c.id,
    datasets.c.project_id,
    datasets.c.kind,
    datasets.c.state,
    datasets.c.status_message,
    datasets.c.fault,
    datasets.c.source,
    datasets.c.stats,
    datasets.c.created_at,
    datasets.c.updated_at,
)
_READ_AT_ONCE = 500
_STAGED_COLUMNS = ("source_ref", "line", "class", "labels", "box_labels", "labeled", "errors")
_STAGED_TYPES = ("text", "text", "text", "text[]", "text[]", "bool", "jsonb")
_STATS = TypeAdapter(EntryStats)

#: Entries on their way in: COPY fills it many times faster than inserts fill the real one, which has to look for
#: images that are there already.
_staged = Table(
    "staged_entries",
    MetaData(),
    Column("position", BigInteger, Identity(always=True)),
    Column("source_ref", Text),
    Column("line", Text),
    Column("class", Text),
    Column("labels", ARRAY(Text)),
    Column("box_labels", ARRAY(Text)),
    Column("labeled", Boolean),
    Column("errors", JSONB),
    prefixes=["TEMPORARY"],
    postgresql_on_commit="DROP",
)


@dataclass(frozen=True, slots=True)
class LabelCount:
    """How many anomalous images declare a label: alone, and alone or with others."""

    name: str
    alone: int
    total: int


def _dataset(row: RowMapping) -> Dataset:
    return Dataset(
        **{
            **row,
            "kind": DatasetKind(row["kind"]),
            "state": DatasetState(row["state"]),
            "fault": None if row["fault"] is None else Fault(row["fault"]),
            "source": _source(row["source"]),
            "stats": None if row["stats"] is None else _STATS.validate_python(row["stats"]),
        }
    )


def _source(stored: dict[str, Any] | None) -> ObjectRef | DatasetRef | None:
    if stored is None:
        return None
    return DatasetRef(UUID(stored["dataset"])) if "dataset" in stored else ObjectRef.model_validate(stored)


def _stored(source: ObjectRef | DatasetRef | None) -> dict[str, Any] | None:
    match source:
        case ObjectRef():
            return source.model_dump(mode="json")
        case DatasetRef():
            return {"dataset": str(source.dataset)}
        case None:
            return None


def _of(project_id: UUID, kind: DatasetKind) -> Select[Any]:
    return select(*_COLUMNS).where(datasets.c.project_id == project_id, datasets.c.kind == kind.value)


async def add(session: AsyncSession, dataset: Dataset) -> bool:
    """Store a new dataset; False when the project has one of the kind."""
    values = {
        "id": dataset.id,
        "project_id": dataset.project_id,
        "kind": dataset.kind.value,
        "state": dataset.state.value,
        "status_message": dataset.status_message,
        "source": _stored(dataset.source),
        "stats": None if dataset.stats is None else _STATS.dump_python(dataset.stats, mode="json"),
        "created_at": dataset.created_at,
        "updated_at": dataset.updated_at,
    }
    added = await session.execute(insert(datasets).values(values).on_conflict_do_nothing().returning(datasets.c.id))
    return added.one_or_none() is not None


async def find(session: AsyncSession, project_id: UUID, kind: DatasetKind) -> Dataset | None:
    """The project's dataset of the kind, or None."""
    row = (await session.execute(_of(project_id, kind))).one_or_none()
    return None if row is None else _dataset(row._mapping)


async def lock(session: AsyncSession, project_id: UUID, kind: DatasetKind) -> Dataset | None:
    """As ``find``; nobody else changes the dataset until the transaction ends."""
    row = (await session.execute(_of(project_id, kind).with_for_update(key_share=True))).one_or_none()
    return None if row is None else _dataset(row._mapping)


async def lock_by_id(session: AsyncSession, dataset_id: UUID) -> Dataset | None:
    """The dataset of that id, locked, or None."""
    query = select(*_COLUMNS).where(datasets.c.id == dataset_id).with_for_update(key_share=True)
    row = (await session.execute(query)).one_or_none()
    return None if row is None else _dataset(row._mapping)


async def by_id(session: AsyncSession, dataset_id: UUID) -> Dataset | None:
    """The dataset of that id, or None."""
    row = (await session.execute(select(*_COLUMNS).where(datasets.c.id == dataset_id))).one_or_none()
    return None if row is None else _dataset(row._mapping)


async def owner_of(session: AsyncSession, project_id: UUID) -> Owner:
    """Whose project it is."""
    owner = select(projects.c.account_id, projects.c.region, projects.c.service).where(projects.c.id == project_id)
    row = (await session.execute(owner)).one()
    return Owner(row.account_id, row.region, Service(row.service))


async def of_project(session: AsyncSession, project_id: UUID) -> list[Dataset]:
    """The project's datasets, training first."""
    rows = await session.execute(
        select(*_COLUMNS).where(datasets.c.project_id == project_id).order_by(datasets.c.kind.desc())
    )
    return [_dataset(row._mapping) for row in rows]


async def of_projects(session: AsyncSession, project_ids: Sequence[UUID]) -> dict[UUID, list[Dataset]]:
    """Datasets by project, training first."""
    query = select(*_COLUMNS).where(datasets.c.project_id.in_(project_ids)).order_by(datasets.c.kind.desc())
    found: dict[UUID, list[Dataset]] = {}
    for row in await session.execute(query):
        dataset = _dataset(row._mapping)
        found.setdefault(dataset.project_id, []).append(dataset)
    return found


async def count(session: AsyncSession, project_id: UUID) -> int:
    """How many datasets the project has, those being deleted included."""
    found = await session.execute(select(func.count()).select_from(datasets).where(datasets.c.project_id == project_id))
    return found.scalar_one()


async def begin(
    session: AsyncSession,
    dataset: Dataset,
    target: DatasetState,
    message: str,
    source: ObjectRef | DatasetRef | None = None,
) -> None:
    """Store the state of an operation that begins, and what it reads; ForbiddenTransitionError."""
    await _move(session, dataset, target, message, {"source": _stored(source), "fault": None})


async def move(
    session: AsyncSession,
    dataset: Dataset,
    target: DatasetState,
    message: str,
    fault: Fault | None = None,
    stats: EntryStats | None = None,
) -> None:
    """Store a new state with its message, and new ``stats`` where there are any; ForbiddenTransitionError."""
    values: dict[str, Any] = {"fault": None if fault is None else fault.value}
    if stats is not None:
        values["stats"] = _STATS.dump_python(stats, mode="json")
    await _move(session, dataset, target, message, values)


async def _move(
    session: AsyncSession, dataset: Dataset, target: DatasetState, message: str, more: dict[str, Any]
) -> None:
    state = step(TRANSITIONS, dataset.state, target)
    values = {"state": state.value, "status_message": message, "updated_at": func.now(), **more}
    await session.execute(update(datasets).where(datasets.c.id == dataset.id).values(values))


async def remove(session: AsyncSession, dataset_id: UUID) -> None:
    """Forget the dataset and its entries."""
    await session.execute(delete(datasets).where(datasets.c.id == dataset_id))


async def begin_staging(session: AsyncSession) -> None:
    """Make the place where entries wait for ``merge``; it goes with the transaction."""
    await session.execute(CreateTable(_staged))


async def stage(session: AsyncSession, entries: Iterable[Entry]) -> None:
    """Add entries to those that wait."""
    rows = (
        (
            entry.source_ref,
            entry.line,
            entry.anomaly_class,
            list(entry.labels),
            list(entry.box_labels),
            entry.labeled,
            None if entry.errors is None else Jsonb(entry.errors),
        )
        for entry in entries
    )
    await copy_rows(session, _staged.name, _STAGED_COLUMNS, rows, types=_STAGED_TYPES)


async def merge(session: AsyncSession, dataset_id: UUID) -> None:
    """Put what waits into the dataset, in order; an entry whose image is there already takes the old one's place."""
    waiting = select(literal(dataset_id), *(_staged.c[name] for name in _STAGED_COLUMNS)).order_by(_staged.c.position)
    statement = insert(dataset_entries).from_select(["dataset_id", *_STAGED_COLUMNS], waiting)
    changed = {name: statement.excluded[name] for name in _STAGED_COLUMNS if name != "source_ref"}
    await session.execute(statement.on_conflict_do_update(index_elements=["dataset_id", "source_ref"], set_=changed))


async def stats(session: AsyncSession, dataset_id: UUID) -> ImageStats:
    """How many images the dataset has."""
    of_class = dataset_entries.c["class"]
    row = (
        await session.execute(
            select(
                func.count().label("total"),
                func.count().filter(of_class == "normal").label("normal"),
                func.count().filter(of_class == "anomaly").label("anomaly"),
            ).where(dataset_entries.c.dataset_id == dataset_id)
        )
    ).one()
    return ImageStats(total=row.total, normal=row.normal, anomaly=row.anomaly)


async def label_counts(session: AsyncSession, dataset_id: UUID) -> list[LabelCount]:
    """Anomaly labels of the dataset's anomalous images, by name."""
    per_image = (
        select(
            func.unnest(dataset_entries.c.labels).label("name"),
            func.cardinality(dataset_entries.c.labels).label("labels"),
        )
        .where(dataset_entries.c.dataset_id == dataset_id, dataset_entries.c["class"] == "anomaly")
        .subquery()
    )
    rows = await session.execute(
        select(
            per_image.c.name,
            func.count().filter(per_image.c.labels == 1).label("alone"),
            func.count().label("total"),
        )
        .group_by(per_image.c.name)
        .order_by(per_image.c.name)
    )
    return [LabelCount(name=row.name, alone=row.alone, total=row.total) for row in rows]


async def count_labels(session: AsyncSession, project_id: UUID) -> int:
    """How many anomaly labels the anomalous images of the project's datasets declare."""
    names = (
        select(func.unnest(dataset_entries.c.labels).label("name"))
        .join(datasets, datasets.c.id == dataset_entries.c.dataset_id)
        .where(datasets.c.project_id == project_id, dataset_entries.c["class"] == "anomaly")
        .subquery()
    )
    return (await session.execute(select(func.count(names.c.name.distinct())))).scalar_one()


async def first_source_ref(session: AsyncSession, dataset_id: UUID) -> str | None:
    """The image of some entry, or None when there are none."""
    query = select(dataset_entries.c.source_ref).where(dataset_entries.c.dataset_id == dataset_id).limit(1)
    return (await session.execute(query)).scalar_one_or_none()


async def page(
    session: AsyncSession, dataset_id: UUID, chosen: EntryFilter, after: int | None, limit: int
) -> list[ListedEntry]:
    """Up to ``limit`` of the entries that ``chosen`` lets through, in order, behind the id ``after``."""
    entries = dataset_entries.c
    of_class = entries["class"]
    query = select(entries.id, entries.line, entries.labeled, entries.errors).where(entries.dataset_id == dataset_id)
    if after is not None:
        query = query.where(entries.id > after)
    if chosen.labeled is not None:
        labeled = func.coalesce(entries.labeled, of_class.is_not(None))
        query = query.where(labeled if chosen.labeled else ~labeled)
    if chosen.anomaly_class is not None:
        query = query.where(of_class == chosen.anomaly_class)
    if chosen.created_before is not None:
        query = query.where(entries.created_at < chosen.created_before)
    if chosen.created_after is not None:
        query = query.where(entries.created_at > chosen.created_after)
    if chosen.source_contains is not None:
        query = query.where(func.strpos(entries.source_ref, chosen.source_contains) > 0)
    if chosen.labels:
        wanted = list(chosen.labels)
        query = query.where(or_(entries.labels.overlap(wanted), entries.box_labels.overlap(wanted)))
    if chosen.faulty:
        query = query.where(entries.errors.is_not(None))
    await _in_order(session)
    rows = await session.execute(query.order_by(entries.id).limit(limit))
    return [ListedEntry(row.id, row.line, row.labeled, row.errors) for row in rows]


async def count_entries(session: AsyncSession, dataset_id: UUID) -> EntryStats:
    """What the entries of a dataset of Custom Labels are."""
    entries = dataset_entries.c
    counts = (
        await session.execute(
            select(
                func.count().label("total"),
                func.count().filter(entries.labeled).label("labeled"),
                func.count().filter(entries.errors.is_not(None)).label("faulty"),
            ).where(entries.dataset_id == dataset_id)
        )
    ).one()
    every = func.unnest(func.array_cat(entries.labels, entries.box_labels)).label("name")
    used = lateral(select(every).distinct().correlate(dataset_entries)).alias("used")
    boxed = used.c.name == func.any(entries.box_labels)
    rows = await session.execute(
        select(used.c.name, func.count().label("images"), func.count().filter(boxed).label("boxed"))
        .select_from(dataset_entries)
        .join(used, true())
        .where(entries.dataset_id == dataset_id)
        .group_by(used.c.name)
        .order_by(used.c.name.collate("C"))
    )
    labels = tuple(LabelUse(row.name, row.images, row.boxed) for row in rows)
    return EntryStats(counts.total, counts.labeled, counts.faulty, labels)


async def labels_of_entries(session: AsyncSession, dataset_id: UUID) -> tuple[list[int], list[tuple[str, ...]]]:
    """Ids of a dataset's entries in Custom Labels, in order, and the labels of each, once; of unusable ones none."""
    entries = dataset_entries.c
    query = (
        select(entries.id, entries.labels, entries.box_labels, entries.errors)
        .where(entries.dataset_id == dataset_id)
        .order_by(entries.id)
    )
    known: dict[tuple[str, ...], tuple[str, ...]] = {}
    ids, images = [], []
    async for row in await session.stream(query, execution_options={"yield_per": _READ_AT_ONCE}):
        labels = () if unusable(row.errors) else tuple(dict.fromkeys((*row.labels, *row.box_labels)))
        ids.append(row.id)
        # Nearly all have the labels of some other: that keeps many entries small.
        images.append(known.setdefault(labels, labels))
    return ids, images


async def copy_entries(session: AsyncSession, source_id: UUID, dataset_id: UUID) -> None:
    """Give an empty dataset the entries of another one, in their order."""
    given = (
        select(literal(dataset_id), *(dataset_entries.c[name] for name in _STAGED_COLUMNS))
        .where(dataset_entries.c.dataset_id == source_id)
        .order_by(dataset_entries.c.id)
    )
    await session.execute(insert(dataset_entries).from_select(["dataset_id", *_STAGED_COLUMNS], given))


async def give_entries(session: AsyncSession, source_id: UUID, dataset_id: UUID, ids: Collection[int]) -> int:
    """Move the entries with these ids from one dataset to another; how many these were."""
    moved = await session.execute(
        update(dataset_entries)
        .where(
            dataset_entries.c.dataset_id == source_id,
            dataset_entries.c.id == func.any(literal(list(ids), ARRAY(BigInteger))),
        )
        .values(dataset_id=dataset_id)
    )
    return cast("CursorResult[Any]", moved).rowcount


async def lines(session: AsyncSession, dataset_id: UUID) -> AsyncIterator[str]:
    """The lines of all images, in order."""
    async for line in _lines(session, dataset_id, true()):
        yield line


async def labeled_lines(session: AsyncSession, dataset_id: UUID) -> AsyncIterator[str]:
    """The lines of all classified images, in order."""
    async for line in _lines(session, dataset_id, dataset_entries.c["class"].is_not(None)):
        yield line


async def _in_order(session: AsyncSession) -> None:
    """Have the transaction's queries walk along the index, and stop when they have enough.

    After a large import the statistics say for a while that the dataset is small, and it would be read and sorted whole
    for every page.
    """
    await session.execute(text("SET LOCAL enable_sort = off"))


async def _lines(session: AsyncSession, dataset_id: UUID, chosen: ColumnElement[bool]) -> AsyncIterator[str]:
    after = 0
    await _in_order(session)
    while True:
        rows = (
            await session.execute(
                select(dataset_entries.c.id, dataset_entries.c.line)
                .where(dataset_entries.c.dataset_id == dataset_id, chosen, dataset_entries.c.id > after)
                .order_by(dataset_entries.c.id)
                .limit(_READ_AT_ONCE)
            )
        ).all()
        for row in rows:
            yield row.line
        if len(rows) < _READ_AT_ONCE:
            return
        after = rows[-1].id
