"""Settings from the environment: typed, complete, checked at start.

A service declares::

    class Settings(ServiceSettings):
        model_config = service_config("detection")
        kafka: KafkaSettings
        triton: TritonSettings

and reads ``VIGIA_DETECTION_KAFKA__BOOTSTRAP`` and so on. Any value may come from a file instead, by the same name
with ``_FILE`` appended. A name with the service's prefix that no field has is an error, not a surprise.
"""

from __future__ import annotations

import difflib
import os
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

_FILE = "_FILE"


class SettingsError(ValueError):
    """What is wrong with the environment, every problem at once. ``problems`` are sentences."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


#: A comma-separated list.
CommaList = Annotated[tuple[str, ...], BeforeValidator(_split)]


class Group(BaseModel):
    """A group of settings; closed and frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LogSettings(Group):
    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="least level written")
    format: Literal["json", "console"] = Field(default="json", description="json, or lines for people")


class SideSettings(Group):
    host: str = Field(default="127.0.0.1", description="address of /live, /ready and /metrics")
    port: int = Field(default=9100, ge=0, le=65535, description="its port; 0 takes a free one")


class HttpSettings(Group):
    host: str = Field(default="127.0.0.1", description="address the door listens on")
    port: int = Field(default=8080, ge=0, le=65535, description="its port")
    max_body_bytes: int = Field(default=16 * 1024 * 1024, ge=1024, description="largest request body, bytes")


class KafkaSettings(Group):
    bootstrap: str = Field(min_length=1, description="host:port[,host:port]")
    topic_prefix: str = Field(
        default="", pattern=r"^[a-zA-Z0-9._\-]*$", description="put before every topic and group name"
    )
    security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", description="how to talk to the brokers"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="SCRAM-SHA-512", description="with a SASL security"
    )
    username: str | None = Field(default=None, description="with a SASL security")
    password: SecretStr | None = Field(default=None, description="with a SASL security")
    ca_path: Path | None = Field(default=None, description="certificate authority of the brokers, PEM")


class PostgresSettings(Group):
    url: SecretStr = Field(description="postgresql://user:password@host:port/database")
    pool_size: int = Field(default=5, ge=1, le=200, description="connections kept; as many again under load")

    @field_validator("url")
    @classmethod
    def _scheme(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise ValueError("must begin with postgresql://")
        return value


class ObjectSettings(Group):
    endpoint: str | None = Field(default=None, description="http(s)://host:port of an S3-compatible store; none is AWS")
    region: str = Field(default="us-east-1", description="region the store signs for")
    access_key_id: str = Field(min_length=1, description="key id")
    secret_access_key: SecretStr = Field(description="its secret")
    sealing_key: SecretStr | None = Field(
        default=None,
        description="root key (32 characters or more) that seals what Vigia stores; a line each: the first seals, all "
        "open. None: stored as it is",
    )
    keys_folder: Path | None = Field(
        default=None, description="folder of named keys, a file <account>.<name> each, for KmsKeyId"
    )


class TritonSettings(Group):
    urls: CommaList = Field(min_length=1, description="host:grpcport[,host:grpcport]")


class RegistrySettings(Group):
    url: str = Field(min_length=1, description="http://host:port of registry")
    token: SecretStr = Field(description="token of registry's internal endpoint")


class BucketSettings(Group):
    artifacts: str = Field(default="vigia-artifacts", description="bucket of model artifacts")
    evidence: str = Field(default="vigia-evidence", description="bucket of stored images and masks")
    frames: str = Field(default="vigia-frames", description="bucket of frames too large for Kafka")
    datasets: str = Field(default="vigia-datasets", description="bucket of data sets")


def service_config(service: str) -> SettingsConfigDict:
    """The ``model_config`` of a service's settings; ``service`` becomes the prefix ``VIGIA_<SERVICE>_``."""
    return SettingsConfigDict(
        env_prefix=f"VIGIA_{service.upper().replace('-', '_')}_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
    )


class ServiceSettings(BaseSettings):
    """What every service has. Subclasses add the groups they need."""

    log: LogSettings = LogSettings()
    side: SideSettings = SideSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings, _Environment(settings_cls))


@dataclass(frozen=True, slots=True)
class Leaf:
    """One setting: the name of its variable, its path in the settings, its field."""

    name: str
    path: tuple[str, ...]
    field: FieldInfo


def leaves(settings: type[BaseSettings]) -> list[Leaf]:
    """Every setting of a settings class."""
    prefix = str(settings.model_config.get("env_prefix", ""))
    return list(_leaves(settings, prefix, ()))


def _leaves(model: type[BaseModel], prefix: str, path: tuple[str, ...]) -> Iterator[Leaf]:
    for name, field in model.model_fields.items():
        variable = f"{prefix}{name.upper()}"
        group = _group(field.annotation)
        if group is None:
            yield Leaf(variable, (*path, name), field)
        else:
            yield from _leaves(group, f"{variable}__", (*path, name))


def _group(annotation: Any) -> type[BaseModel] | None:
    if get_origin(annotation) in (Union, types.UnionType):
        inner = [_group(part) for part in get_args(annotation)]
        return next((part for part in inner if part is not None), None)
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


class _Environment(PydanticBaseSettingsSource):
    """Reads exactly the variables of the leaves, from the environment or from the files they name."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        raise NotImplementedError("values are read in __call__")

    def __call__(self) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, field in self.settings_cls.model_fields.items():
            # A required group is there, if empty, so that its missing members are named one by one.
            if field.is_required() and _group(field.annotation) is not None:
                values[name] = {}
        for leaf in leaves(self.settings_cls):
            text = _read(leaf.name, os.environ)
            if text is not None:
                place = values
                for part in leaf.path[:-1]:
                    place = place.setdefault(part, {})
                place[leaf.path[-1]] = text
        return values


def _read(name: str, environment: Mapping[str, str]) -> str | None:
    if name in environment:
        return environment[name]
    if name + _FILE not in environment:
        return None
    try:
        return Path(environment[name + _FILE]).read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None  # named by _problems_of_names


def _problems_of_names(settings: type[BaseSettings]) -> list[str]:
    prefix = str(settings.model_config.get("env_prefix", ""))
    known = {leaf.name for leaf in leaves(settings)}
    problems = []
    for name in sorted(key for key in os.environ if prefix and key.startswith(prefix)):
        base = name.removesuffix(_FILE)
        if name in known:
            continue
        if base in known and base != name:
            if base in os.environ:
                problems.append(f"{name}: {base} is given too; give one of them")
            try:
                Path(os.environ[name]).read_text()
            except (OSError, UnicodeDecodeError) as error:
                problems.append(f"{name}: cannot be read: {type(error).__name__}")
            continue
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
        hint = f"; did you mean {near[0]}?" if near else ""
        problems.append(f"{name}: no such setting{hint}")
    return problems


S = TypeVar("S", bound=BaseSettings)


def load(cls: type[S]) -> S:
    """The settings of this process; SettingsError lists every problem at once. Values are never printed."""
    problems = _problems_of_names(cls)
    prefix = str(cls.model_config.get("env_prefix", ""))
    try:
        found = cls()
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False):
            name = prefix + "__".join(str(part).upper() for part in problem["loc"])
            problems.append(f"{name}: {'missing' if problem['type'] == 'missing' else problem['msg']}")
        raise SettingsError(problems) from None  # pydantic's text would repeat the values
    if problems:
        raise SettingsError(problems)
    return found


def markdown(cls: type[BaseSettings]) -> str:
    """A table of every setting of a service, for the documentation."""
    rows = ["| variable | type | default | meaning |", "|---|---|---|---|"]
    for leaf in leaves(cls):
        secret = "Secret" in str(leaf.field.annotation)
        if leaf.field.default is PydanticUndefined:
            default = "required"
        elif secret or leaf.field.default in (None, ""):
            default = ""
        else:
            default = f"`{leaf.field.default}`"
        kind = getattr(leaf.field.annotation, "__name__", None) or str(leaf.field.annotation)
        kind = kind.replace("typing.", "").replace("|", "\\|")
        rows.append(f"| `{leaf.name}` | {kind} | {default} | {leaf.field.description or ''} |")
    return "\n".join(rows) + "\n"
