"""Datasets and their entries in the database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    Identity,
    MetaData,
    RowMapping,
    Select,
    Table,
    Text,
    delete,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.schema import CreateTable

from vigia_contracts.base import ObjectRef
from vigia_registry.datasets.domain import TRANSITIONS, Dataset, DatasetKind, DatasetState, EntryFilter, ImageStats
from vigia_registry.datasets.manifest import Entry
from vigia_registry.datasets.tables import dataset_entries, datasets
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
    datasets.c.created_at,
    datasets.c.updated_at,
)
_READ_AT_ONCE = 500
_STAGED_COLUMNS = ("source_ref", "line", "class", "labels")

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
            "source": None if row["source"] is None else ObjectRef.model_validate(row["source"]),
        }
    )


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
        "source": None if dataset.source is None else dataset.source.model_dump(mode="json"),
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


async def account_of(session: AsyncSession, project_id: UUID) -> str:
    """Whose project it is."""
    found = await session.execute(select(projects.c.account_id).where(projects.c.id == project_id))
    return str(found.scalar_one())


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


async def move(
    session: AsyncSession, dataset: Dataset, target: DatasetState, message: str, source: ObjectRef | None = None
) -> None:
    """Store a new state with its message, and a new source where one is given; ForbiddenTransitionError."""
    state = step(TRANSITIONS, dataset.state, target)
    values: dict[str, Any] = {"state": state.value, "status_message": message, "updated_at": func.now()}
    if source is not None:
        values["source"] = source.model_dump(mode="json")
    await session.execute(update(datasets).where(datasets.c.id == dataset.id).values(values))


async def remove(session: AsyncSession, dataset_id: UUID) -> None:
    """Forget the dataset and its entries."""
    await session.execute(delete(datasets).where(datasets.c.id == dataset_id))


async def begin_staging(session: AsyncSession) -> None:
    """Make the place where entries wait for ``merge``; it goes with the transaction."""
    await session.execute(CreateTable(_staged))


async def stage(session: AsyncSession, entries: Iterable[Entry]) -> None:
    """Add entries to those that wait."""
    rows = ((entry.source_ref, entry.line, entry.anomaly_class, list(entry.labels)) for entry in entries)
    await copy_rows(session, _staged.name, _STAGED_COLUMNS, rows, types=("text", "text", "text", "text[]"))


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
) -> list[tuple[int, str]]:
    """Up to ``limit`` (id, line) of the entries that ``chosen`` lets through, in order, behind ``after``."""
    of_class = dataset_entries.c["class"]
    query = select(dataset_entries.c.id, dataset_entries.c.line).where(dataset_entries.c.dataset_id == dataset_id)
    if after is not None:
        query = query.where(dataset_entries.c.id > after)
    if chosen.labeled is not None:
        query = query.where(of_class.is_not(None) if chosen.labeled else of_class.is_(None))
    if chosen.anomaly_class is not None:
        query = query.where(of_class == chosen.anomaly_class)
    if chosen.created_before is not None:
        query = query.where(dataset_entries.c.created_at < chosen.created_before)
    if chosen.created_after is not None:
        query = query.where(dataset_entries.c.created_at > chosen.created_after)
    if chosen.source_contains is not None:
        query = query.where(func.strpos(dataset_entries.c.source_ref, chosen.source_contains) > 0)
    rows = await session.execute(query.order_by(dataset_entries.c.id).limit(limit))
    return [(row.id, row.line) for row in rows]


async def labeled_lines(session: AsyncSession, dataset_id: UUID) -> AsyncIterator[str]:
    """The lines of all classified images, in order."""
    after = 0
    while True:
        rows = (
            await session.execute(
                select(dataset_entries.c.id, dataset_entries.c.line)
                .where(
                    dataset_entries.c.dataset_id == dataset_id,
                    dataset_entries.c["class"].is_not(None),
                    dataset_entries.c.id > after,
                )
                .order_by(dataset_entries.c.id)
                .limit(_READ_AT_ONCE)
            )
        ).all()
        for row in rows:
            yield row.line
        if len(rows) < _READ_AT_ONCE:
            return
        after = rows[-1].id
