"""Looks at every image and mask of a dataset before anything is changed: what can come in, what cannot and why."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, TypeVar

from vigia_client.datasets.images import LOOKOUT, Accepted, ImageError, Size, check_image, check_mask
from vigia_client.datasets.lines import LONGEST_READ, AnyLine, LineError, Note, Why, by_folder, lines_of, read_line
from vigia_client.datasets.places import MissingError, Place, PlaceError, TooLargeError, below, last
from vigia_client.datasets.resolve import Resolver
from vigia_client.errors import ActionableError

T = TypeVar("T")
R = TypeVar("R")

#: The most images that a dataset may hold.
MOST_IMAGES: Final = {"train": 16_000, "test": 4_000}
#: Names of folders that give a class, in lower case, and whether it is the anomalous one.
CLASSES: Final = {"normal": False, "anomaly": True}
_SUFFIXES: Final = frozenset({"jpg", "jpeg", "png"})
#: How many requests wait at once for a disk or a store.
WORKERS: Final = 2 * (os.cpu_count() or 1)


class DatasetError(ActionableError):
    """A dataset as a whole cannot come in."""


@dataclass(frozen=True, slots=True)
class Content:
    """A file as it was seen: where, the SHA-256 of its bytes (hex), and how many they are."""

    address: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Item:
    """One image that can come in. ``where``: the line or file that names it."""

    where: str
    line: AnyLine
    image: Content
    size: Size
    mask: Content | None


@dataclass(frozen=True, slots=True)
class Remark:
    """A note about one image. ``out``: it stays out because of it."""

    where: str
    ref: str
    note: Note
    out: bool


@dataclass(slots=True)
class Survey:
    """What was found. ``looked_at``: images that were named."""

    items: list[Item] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    looked_at: int = 0

    @property
    def left_out(self) -> list[Remark]:
        return [remark for remark in self.remarks if remark.out]

    def count(self, said: str) -> int:
        """Images of whose labels that is said."""
        return sum(item.line.said == said for item in self.items)

    def drop(self, items: Iterable[Item], note: Callable[[Item], Note]) -> None:
        """Leave images out after all."""
        gone = {id(item): item for item in items}
        self.items = [item for item in self.items if id(item) not in gone]
        self.remarks += [Remark(item.where, item.line.ref, note(item), True) for item in gone.values()]


Named = tuple[str, AnyLine | LineError]
Tick = Callable[[int], None]


def manifest_lines(
    place: Place, address: str, read: Callable[[bytes], AnyLine] = read_line, longest: int = LONGEST_READ
) -> Iterator[Named]:
    """The lines of a manifest, each with where it stands; PlaceError. ``longest``: bytes of a line that are read."""
    name = below(place.root, address)
    for number, raw in lines_of(place.chunks(address), longest):
        where = f"{name}:{number}"
        try:
            yield where, read(raw)
        except LineError as error:
            yield where, error


def folder_lines(place: Place, folder: str) -> Iterator[Named]:
    """The images below a folder; those in its folders ``normal`` and ``anomaly``, in any case, have that class."""
    for file in place.files(folder):
        path = below(folder, file.address)
        if is_image(path):
            top = path.partition("/")[0].lower() if "/" in path else ""
            yield below(place.root, file.address), by_folder(file.address, CLASSES.get(top))


def is_image(path: str) -> bool:
    """Whether its name says that it is a JPEG or PNG."""
    return "." in last(path) and path.rpartition(".")[2].lower() in _SUFFIXES


def survey(
    place: Place,
    named: Iterable[Named],
    resolver: Resolver | None,
    most: int,
    tick: Tick,
    accepted: Accepted = LOOKOUT,
) -> Survey:
    """Look at every image. Without ``resolver`` a reference is an address already.

    DatasetError for more than ``most`` images; ``tick`` is told how many were looked at.
    """
    found = Survey()
    first: dict[str, Item] = {}
    tasks = (_task(where, line, resolver) for where, line in named)
    for task, item, notes in in_order(lambda task: _look(place, task, accepted), tasks):
        found.looked_at += 1
        tick(found.looked_at)
        if item is not None and (twin := first.setdefault(item.image.sha256, item)) is not item:
            item, notes = None, [Note(Why.DUPLICATE, _twins(twin, task))]
        found.remarks += [Remark(task.where, task.ref, note, item is None) for note in notes]
        if item is not None:
            found.items.append(item)
            if len(found.items) > most:
                raise DatasetError(f"more than {most} images")
    return found


def keep_one_size(surveys: Iterable[Survey]) -> Size | None:
    """Leave out what has not the size that most images of a project have; that size, None without any image."""
    held = list(surveys)
    counts = Counter(item.size for found in held for item in found.items)
    if not counts:
        return None
    [(size, _)] = counts.most_common(1)
    for found in held:
        found.drop(
            (item for item in found.items if item.size != size),
            lambda item: Note(Why.OTHER_SIZE, f"{item.size} pixels; {counts[size]} of {counts.total()} have {size}"),
        )
    return size


def in_order(work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """``map`` on several threads, few results ahead."""
    with ThreadPoolExecutor(WORKERS) as pool:
        waiting: deque[Future[R]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) >= 2 * WORKERS:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


@dataclass(frozen=True, slots=True)
class _Task:
    """A line whose files are to be looked at; without ``line`` its ``notes`` say why there is none."""

    where: str
    ref: str
    line: AnyLine | None
    image: str = ""
    mask: str | None = None
    notes: tuple[Note, ...] = ()


def _task(where: str, line: AnyLine | LineError, resolver: Resolver | None) -> _Task:
    if isinstance(line, LineError):
        return _Task(where, line.ref, None, notes=(Note(line.why, str(line)),))
    if resolver is None:
        return _Task(where, line.ref, line, line.ref, None if line.mask is None else line.mask.ref, line.notes)
    try:
        image = resolver.find(line.ref)
    except MissingError as error:
        return _Task(where, line.ref, None, notes=(Note(Why.MISSING, str(error)),))
    mask, notes = None, line.notes
    if line.mask is not None:
        try:
            mask = resolver.find(line.mask.ref)
        except MissingError as error:
            notes = (*notes, Note(Why.MASK_MISSING, str(error)))
    return _Task(where, line.ref, line, image, mask, notes)


def _look(place: Place, task: _Task, accepted: Accepted) -> tuple[_Task, Item | None, list[Note]]:
    """The task's image, and what is worth knowing about it; without an image, why."""
    if task.line is None:
        return task, None, list(task.notes)
    try:
        data = place.read(task.image, accepted.limits.max_bytes)
        size = check_image(data, accepted)
    except PlaceError as error:
        return task, None, [Note(_why(error), str(error))]
    except ImageError as error:
        return task, None, [error.note]
    notes = list(task.notes)
    mask = None
    if task.line.mask is not None and task.mask is not None:
        try:
            held = place.read(task.mask, accepted.limits.max_bytes)
            check_mask(held, task.line.mask.colors, size)
            mask = _content(task.mask, held)
        except MissingError as error:
            notes.append(Note(Why.MASK_MISSING, str(error)))
        except PlaceError as error:
            notes.append(Note(Why.MASK_UNREADABLE, str(error)))
        except ImageError as error:
            notes.append(error.note)
    return task, Item(task.where, task.line, _content(task.image, data), size, mask), notes


def _why(error: PlaceError) -> Why:
    if isinstance(error, MissingError):
        return Why.MISSING
    return Why.TOO_LARGE if isinstance(error, TooLargeError) else Why.UNREADABLE


def _content(address: str, data: bytes) -> Content:
    return Content(address, hashlib.sha256(data).hexdigest(), len(data))


def _twins(first: Item, second: _Task) -> str:
    """The same bytes twice. What they are said to be may differ, and then a person must decide."""
    text = f"the same bytes as {first.line.ref} ({first.where})"
    assert second.line is not None
    if first.line.said == second.line.said:
        return text
    return f"{text}, which is {first.line.said} and came in; this line says {second.line.said}"
