"""What files declare, checked as far as they themselves tell. Nothing here asks an installation."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Annotated, Any, Final, Generic, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from vigia_client.provisioning import secrets
from vigia_client.provisioning.documents import Document, FileError, Path, Problem, read_documents
from vigia_client.provisioning.template import is_template, project_names
from vigia_contracts.base import Name
from vigia_contracts.cameras import CameraPolicy, Source

_ProjectName = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_\-]*$")]
_LabelProjectName = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[a-zA-Z0-9_.\-]+$")]
_AccessName = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[\w+=,.@\-]+$")]


class _Declared(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class DatasetSpec(_Declared):
    """A manifest in the store (``s3://…``) or a file; with a file, or alone, a folder of images. None of it: empty."""

    manifest: str | None = None
    images: str | None = None


def _nothing_special(value: Any) -> Any:
    """A name with nothing behind it: the thing as it is by default."""
    return {} if value is None else value


_Version = Annotated[str, BeforeValidator(lambda value: str(value)), Field(pattern=r"^[1-9][0-9]{0,8}$")]
_Dataset = Annotated[DatasetSpec, BeforeValidator(_nothing_special)]


class ProjectSpec(_Declared):
    """A project and its datasets."""

    train: _Dataset | None = None
    test: _Dataset | None = None

    @property
    def datasets(self) -> dict[str, DatasetSpec]:
        held = {"train": self.train, "test": self.test}
        return {kind: dataset for kind, dataset in held.items() if dataset is not None}


class LabelProjectSpec(_Declared):
    """A project of Custom Labels. Its datasets are made by the API."""


class LineSpec(_Declared):
    """A line."""

    description: str = Field(default="", max_length=500)


class CameraSpec(_Declared):
    """A camera. What is not said has its default."""

    source: Source
    line: Name | None = None
    station: Name | None = None
    product: str | None = Field(default=None, max_length=128)
    project: str | None = Field(default=None, max_length=255)
    model_version: _Version | None = None
    enabled: bool = True
    policy: CameraPolicy = CameraPolicy()


class PolicySpec(_Declared):
    """A policy of access."""

    description: str = ""
    document: dict[str, Any]


class UserSpec(_Declared):
    """Who may do what: names or ARNs of policies, and documents of its own."""

    policies: list[str] = []
    inline: dict[str, dict[str, Any]] = {}


class RoleSpec(UserSpec):
    """A role; ``trust``: ARNs or account ids of those who may take it."""

    trust: list[str] = []
    max_session_seconds: int = Field(default=3600, ge=3600, le=43200)


#: Per kind: what its things are called, and what they are.
KINDS: Final[dict[str, tuple[Any, type[_Declared]]]] = {
    "policies": (_AccessName, PolicySpec),
    "roles": (_AccessName, RoleSpec),
    "users": (_AccessName, UserSpec),
    "projects": (_ProjectName, ProjectSpec),
    "label_projects": (_LabelProjectName, LabelProjectSpec),
    "lines": (Name, LineSpec),
    "cameras": (Name, CameraSpec),
}
T = TypeVar("T", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Declared(Generic[T]):
    """One thing and where it is declared."""

    name: str
    value: T
    document: Document
    path: Path

    @property
    def folder(self) -> FilePath:
        """What paths in its file are relative to."""
        return FilePath(self.document.file).parent

    def problem(self, text: str, *below: str) -> Problem:
        return self.document.problem((*self.path, *below), text)


@dataclass(slots=True)
class Spec:
    """Everything declared, by name. ``hidden``: values that must never be shown. ``left``: what is left alone."""

    policies: dict[str, Declared[PolicySpec]] = field(default_factory=dict)
    roles: dict[str, Declared[RoleSpec]] = field(default_factory=dict)
    users: dict[str, Declared[UserSpec]] = field(default_factory=dict)
    projects: dict[str, Declared[ProjectSpec]] = field(default_factory=dict)
    label_projects: dict[str, Declared[LabelProjectSpec]] = field(default_factory=dict)
    lines: dict[str, Declared[LineSpec]] = field(default_factory=dict)
    cameras: dict[str, Declared[CameraSpec]] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    left: list[Problem] = field(default_factory=list)

    def hide(self, text: str) -> str:
        """The text without any secret that was resolved."""
        for secret in sorted(self.hidden, key=len, reverse=True):
            text = text.replace(secret, secrets.HIDDEN)
        return text


def read_files(
    files: Iterable[FilePath], environment: Mapping[str, str], parameters: Mapping[str, str], region: str
) -> Spec:
    """What the files declare together; FileError names every line that is wrong.

    ``parameters``: of CloudFormation templates, and ``region`` what they call AWS::Region.
    """
    spec = Spec()
    problems: list[Problem] = []
    for file in files:
        try:
            text = file.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            problems.append(Problem(str(file), 1, getattr(error, "strerror", None) or "not UTF-8"))
            continue
        try:
            for document in read_documents(text, str(file)):
                if is_template(document):
                    names, spec_left = project_names(document, parameters, region)
                    spec.left += spec_left
                    for kind, name, path in names:
                        _take(spec, kind, document, path, name, {}, problems)
                else:
                    _read(spec, document, environment, problems)
        except FileError as error:
            problems += error.problems
    if problems:
        raise FileError(problems)
    return spec


def _read(spec: Spec, document: Document, environment: Mapping[str, str], problems: list[Problem]) -> None:
    if not isinstance(document.value, dict):
        problems.append(document.problem((), f"not a mapping of {', '.join(KINDS)}"))
        return
    for kind, things in document.value.items():
        if kind not in KINDS:
            problems.append(document.problem((kind,), f"unknown key {kind}; known are {', '.join(KINDS)}"))
        elif not isinstance(things, dict):
            problems.append(document.problem((kind,), f"{kind}: not a mapping of names"))
        else:
            for name, value in things.items():
                given = {} if value is None else copy.deepcopy(value)
                path = (kind, name)
                if kind != "cameras" or _resolve(spec, document, path, given, environment, problems):
                    _take(spec, kind, document, path, name, given, problems)


def _take(
    spec: Spec, kind: str, document: Document, path: Path, name: str, value: Any, problems: list[Problem]
) -> None:
    named, model = KINDS[kind]
    try:
        TypeAdapter(named).validate_python(name)
    except ValidationError as error:
        problems.append(document.problem(path, f"{kind}: {name!r} is no name: {_said(error.errors()[0])}"))
        return
    held: dict[str, Declared[Any]] = getattr(spec, kind)
    if name in held:
        first = held[name].problem("")
        problems.append(document.problem(path, f"{kind}: {name} is declared already, in {first.file}:{first.line}"))
        return
    try:
        found = model.model_validate(value)
    except ValidationError as error:
        for wrong in error.errors(include_url=False, include_input=False):
            where = _where(document, path, wrong["loc"])
            problems.append(document.problem(where, f"{'.'.join(map(str, (*path, *wrong['loc'])))}: {_said(wrong)}"))
        return
    unknown = list(_unknown(value, found)) if isinstance(found, CameraSpec) else []
    problems += [
        document.problem((*path, *key), f"{'.'.join(map(str, (*path, *key)))}: unknown key") for key in unknown
    ]
    held[name] = Declared(name, found, document, path)


def _resolve(
    spec: Spec, document: Document, path: Path, value: Any, environment: Mapping[str, str], problems: list[Problem]
) -> bool:
    """Put the secrets into a camera's address; False where that cannot be, and nothing more can be said of it."""
    source = value.get("source") if isinstance(value, dict) else None
    address = source.get("url") if isinstance(source, dict) else None
    if not isinstance(source, dict) or not isinstance(address, str):
        return True
    try:
        source["url"], values = secrets.resolve(address, FilePath(document.file).parent, environment)
    except secrets.SecretError as error:
        problems.append(document.problem((*path, "source", "url"), f"{'.'.join(map(str, path))}.source.url: {error}"))
        return False
    spec.hidden |= values
    return True


def _unknown(value: dict[str, Any], camera: CameraSpec) -> Iterable[tuple[str, str]]:
    """Keys that a payload of the contract does not have: those are ignored when Kafka brings them, not here."""
    for name, held in (("source", camera.source), ("policy", camera.policy)):
        given = value.get(name)
        if isinstance(given, dict):
            yield from ((name, key) for key in sorted(set(given) - set(type(held).model_fields)))


def _where(document: Document, path: Path, loc: tuple[int | str, ...]) -> Path:
    """The path of an error: its place without the names of choices that pydantic puts between."""
    for part in loc:
        if (*path, part) in document.lines:
            path = (*path, part)
    return path


def _said(wrong: Any) -> str:
    return "unknown key" if wrong["type"] == "extra_forbidden" else str(wrong["msg"])
