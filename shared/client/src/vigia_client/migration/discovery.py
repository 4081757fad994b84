"""What a place holds: manifests, folders whose names are classes, evaluation files; and which project each was of.

| layout | recognised by |
|---|---|
| console bucket | ``datasets/<project>/<train or test>/manifests/output/output.manifest`` |
| export sample | ``<project>/datasets/<train or test>.manifest`` beside ``<project>/<train or test>/images/…`` |
| Ground Truth job | ``<project>/manifests/output/output.manifest`` |
| two of them, of Custom Labels | ``<project>-<train or test>/manifests/output/output.manifest`` |
| any manifest | ``*.manifest`` or ``*.jsonl`` whose first lines name an image |
| auto-label | ``<project>/<train or test>/<normal or anomaly>/…``, or without the train or test |
| evaluation | ``EvaluationResult-…json``, ``EvaluationManifest-…json``, ``EvaluationResultSummary-…json`` |
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from vigia_client.datasets.lines import lines_of
from vigia_client.datasets.places import Place, PlaceError, below, last, parent
from vigia_client.datasets.survey import Named, is_image
from vigia_client.migration.service import Rules

_CONSOLE: Final = re.compile(r"(?:.*/)?datasets/(?P<project>[^/]+)/(?P<kind>train|test)/(?P<rest>.+)")
_CONSOLE_OWN: Final = "manifests/output/output.manifest"
#: So many lines tell whether a file is a manifest.
_FIRST_LINES: Final = 20
_SUFFIXES: Final = (".manifest", ".jsonl")
_KINDS: Final = {"train": "train", "training": "train", "test": "test", "testing": "test", "validation": "test"}
_WITH_KIND: Final = re.compile(rf"(?P<project>.+?)[-_. ](?P<kind>{'|'.join(_KINDS)})(?:[-_. ]dataset)?", re.IGNORECASE)
#: Names that say what a file or folder is, and not of which project.
_PLAIN: Final = frozenset({*_KINDS, "manifests", "manifest", "output", "datasets", "dataset", "template", "class",
                           "classification", "segmentation", "images", ""})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Source:
    """What a dataset can be made of: the address of a manifest, or of a folder whose folders are classes.

    ``lines``: of a dataset that is no file, its lines, whose references are addresses.
    """

    address: str
    is_manifest: bool
    lines: Callable[[], Iterator[Named]] | None = None


@dataclass(slots=True)
class Project:
    """A project as it was found. ``sources``: by ``train`` and ``test``; more than one of a kind is for a person."""

    found_as: str
    sources: dict[str, list[Source]] = field(default_factory=dict)

    @property
    def by_manifest(self) -> bool:
        return any(source.is_manifest for sources in self.sources.values() for source in sources)


@dataclass(slots=True)
class Discovery:
    """``skipped``: files that look like something and are not used, and why. ``images``: how many there are at all."""

    projects: list[Project] = field(default_factory=list)
    evaluations: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    images: int = 0


def discover(place: Place, rules: Rules, chosen: Sequence[str] = ()) -> Discovery:
    """Everything that can be brought in. ``chosen``: addresses of the only manifests to use; PlaceError."""
    found = Discovery()
    projects: dict[str, Project] = {}
    folders: set[str] = set()
    for file in place.files():
        path = below(place.root, file.address)
        if is_image(path):
            found.images += 1
            if not chosen and (depth := _depth_of_class(path, rules)) is not None:
                folders.add("/".join(file.address.split("/")[: -len(path.split("/")) + depth]))
        elif rules.evaluations.are(path):
            found.evaluations.append(file.address)
        elif file.address in chosen:
            _add(projects, *_named_by_path(place, path, rules), Source(file.address, True))
        elif path.lower().endswith(_SUFFIXES) and not chosen:
            _manifest(place, file.address, projects, found, rules)
    for address in chosen:
        if not any(address == source.address for source in _sources(projects.values())):
            raise PlaceError(f"{below(place.root, address)} is no manifest there")
    for folder in sorted(folders):
        _add(projects, *_named_by_folder(place, folder, rules), Source(folder, False))
    # By manifest first: a folder of classes whose images a manifest names is no dataset of its own.
    found.projects = sorted(projects.values(), key=lambda project: (not project.by_manifest, project.found_as))
    return found


def _depth_of_class(path: str, rules: Rules) -> int | None:
    """How many folders an image lies in before the one whose name is its class; None without such a folder."""
    folders = path.lower().split("/")[:-1]
    return next((depth for depth, name in enumerate(folders) if name in rules.classes), None)


def _manifest(place: Place, address: str, projects: dict[str, Project], found: Discovery, rules: Rules) -> None:
    path = below(place.root, address)
    console = _CONSOLE.fullmatch(path)
    if console is not None and console["rest"] != _CONSOLE_OWN:
        found.skipped.append((path, f"not the dataset's own manifest, which is {_CONSOLE_OWN}"))
    elif not _names_an_image(place, address):
        found.skipped.append((path, f"none of its first {_FIRST_LINES} lines names an image"))
    elif console is not None:
        _add(projects, _name(console["project"], rules), console["kind"], Source(address, True))
    else:
        _add(projects, *_named_by_path(place, path, rules), Source(address, True))


def _named_by_path(place: Place, path: str, rules: Rules) -> tuple[str, str]:
    """Project and kind of a manifest that lies anywhere."""
    stem = last(path).rpartition(".")[0]
    words = [word for word in re.split(r"[-_. ]+", stem) if word.lower() not in _PLAIN]
    folders = path.split("/")[:-1]
    kinds = [_KINDS[word.lower()] for word in (*folders, *re.split(r"[-_. ]+", stem)) if word.lower() in _KINDS]
    named = [folder for folder in folders if folder.lower() not in _PLAIN]
    if not words and named and rules.kind_in_folder and (match := _WITH_KIND.fullmatch(named[-1])) is not None:
        return _name(match["project"], rules), _KINDS[match["kind"].lower()]
    name = "-".join(words) if words else (named or [place.name])[-1]
    return _name(name, rules), (kinds or ["train"])[-1]


def _named_by_folder(place: Place, folder: str, rules: Rules) -> tuple[str, str]:
    """Project and kind of a folder that has folders of classes."""
    path = below(place.root, folder) if folder != place.root else ""
    kind = _KINDS.get(last(path).lower())
    owner = path if kind is None else parent(path)
    return _name(last(owner) or place.name, rules), kind or "train"


def _names_an_image(place: Place, address: str) -> bool:
    """Whether one of its first lines does."""
    try:
        return any(_is_image_line(raw) for _, raw in islice(lines_of(place.chunks(address)), _FIRST_LINES))
    except PlaceError:
        return False


def _is_image_line(raw: bytes) -> bool:
    try:
        fields = json.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return False
    return isinstance(fields, dict) and "source-ref" in fields


def _add(projects: dict[str, Project], name: str, kind: str, source: Source) -> None:
    project = projects.setdefault(name, Project(name))
    project.sources.setdefault(kind, []).append(source)


def _sources(projects: Iterable[Project]) -> Iterable[Source]:
    return (source for project in projects for held in project.sources.values() for source in held)


def _name(text: str, rules: Rules) -> str:
    """The nearest name that a project may have."""
    if rules.name.fullmatch(text) is not None:
        return text
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-_")[:255]
    return plain or "project"
