"""The protocol's constraints, checked here because clients check few of them. Messages are worded as AWS words them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, TypeVar

from vigia_contracts.training import OutputLocation
from vigia_registry.datasets.domain import DatasetKind
from vigia_registry.http.members import invalid, optional_text, structure, tag_text, text
from vigia_registry.models.domain import VersionName
from vigia_registry.projects.domain import LONGEST_NAME, NAME

E = TypeVar("E", bound=StrEnum)

_CLIENT_TOKEN: Final = re.compile(r"[a-zA-Z0-9-]+")
_DESCRIPTION: Final = re.compile(r"[0-9A-Za-z\.\-_]*")
MODEL_VERSION: Final = re.compile(r"([1-9][0-9]*|latest)")
_PAGE_TOKEN: Final = re.compile(r"[a-zA-Z0-9/+=]+")
_BUCKET: Final = re.compile(r"[0-9A-Za-z\.\-_]*")
_KEY: Final = re.compile(r"([a-zA-Z0-9!_.*'()-][/a-zA-Z0-9!_.*'()-]*)?")
_MOST_TAGS: Final = 200
_JOB_NAME: Final = re.compile(r"[a-zA-Z0-9-]+")
_COMPONENT_NAME: Final = re.compile(r"[a-zA-Z0-9-_.]+")
_COMPONENT_VERSION: Final = re.compile(r"([0-9]{1,6})\.([0-9]{1,6})\.([0-9]{1,6})")
_PLAIN_TEXT: Final = re.compile(r"[a-zA-Z0-9-_. ()':,;?]+")
#: Versions are numbers of at most ten digits; the database holds those up to here.
_LAST_VERSION: Final = 2**31 - 1


def project_name(value: object) -> str:
    """A project's name."""
    return text(value, "projectName", 1, LONGEST_NAME, NAME)


def dataset_kind(value: object) -> DatasetKind:
    """``train`` or ``test``."""
    try:
        return DatasetKind(text(value, "datasetType", 1, 10))
    except ValueError:
        raise invalid(value, "datasetType", "Member must satisfy enum value set: [train, test]") from None


def model_version(value: object) -> VersionName:
    """A version's number, or ``latest``."""
    name = text(value, "modelVersion", 1, 10, MODEL_VERSION)
    # A number that no version can have is a version that does not exist, not a broken request.
    return "latest" if name == "latest" else min(int(name), _LAST_VERSION)


def client_token(value: str | None) -> str | None:
    """The idempotency token, where the client sent one."""
    return optional_text(value, "clientToken", 1, 64, _CLIENT_TOKEN)


def page_token(value: str | None) -> str | None:
    """A token that says where a list goes on."""
    return optional_text(value, "nextToken", 1, 2048, _PAGE_TOKEN)


def page_size(value: str | None) -> int:
    """How many rows a page has: 1 to 100, 100 where nothing was asked."""
    if value is None:
        return 100
    if re.fullmatch(r"-?[0-9]{1,9}", value) is None:
        raise invalid(value, "maxResults", "Member must be an integer")
    if int(value) < 1:
        raise invalid(value, "maxResults", "Member must have value greater than or equal to 1")
    if int(value) > 100:
        raise invalid(value, "maxResults", "Member must have value less than or equal to 100")
    return int(value)


def flag(value: str | None, name: str) -> bool | None:
    """``true``, ``false``, or nothing."""
    if value is None:
        return None
    if value.lower() not in ("true", "false"):
        raise invalid(value, name, "Member must be true or false")
    return value.lower() == "true"


def moment(value: str | None, name: str) -> datetime | None:
    """An ISO 8601 time; UTC where it names no zone."""
    if value is None:
        return None
    try:
        when = datetime.fromisoformat(value)
    except ValueError:
        raise invalid(value, name, "Member must be an ISO 8601 date-time") from None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def anomaly_class(value: str | None) -> str | None:
    """``normal``, ``anomaly``, or nothing."""
    if value is not None and value not in ("normal", "anomaly"):
        raise invalid(value, "anomalyClass", "Member must satisfy enum value set: [normal, anomaly]")
    return value


def bucket(value: object, name: str) -> str:
    """A bucket's name."""
    return text(value, name, 3, 63, _BUCKET)


def key(value: object, name: str) -> str:
    """An object's key."""
    return text(value, name, 1, 1024, _KEY)


def key_prefix(value: object, name: str) -> str | None:
    """A prefix of keys, which may be empty."""
    return optional_text(value, name, 0, 1024, _KEY)


def s3_location(value: object, name: str) -> OutputLocation:
    """A required place to write to."""
    place = structure(value, name)
    return OutputLocation(
        bucket=bucket(place.get("Bucket"), f"{name}.bucket"),
        prefix=key_prefix(place.get("Prefix"), f"{name}.prefix") or "",
    )


def description(value: object) -> str | None:
    """A model version's description."""
    return optional_text(value, "description", 1, 500, _DESCRIPTION)


def tags(value: object, where: str = "tags") -> dict[str, str]:
    """Tags, no key twice; none where nothing was given."""
    found: dict[str, str] = {}
    for index, tag in enumerate([] if value is None else _list(value, where), 1):
        member = f"{where}.{index}.member"
        pair = structure(tag, member)
        key = tag_text(pair.get("Key"), f"{member}.key", 1, 128)
        if key in found:
            raise invalid(key, f"{member}.key", "Member must be unique")
        found[key] = tag_text(pair.get("Value"), f"{member}.value", 0, 256)
    return found


def given_tags(value: object) -> dict[str, str]:
    """As ``tags``, where they must be given."""
    if value is None:
        raise invalid("null", "tags", "Member must not be null")
    return tags(value)


def tag_keys(values: list[str]) -> list[str]:
    """Keys of tags; none at all is a list too."""
    return [tag_text(key, f"tagKeys.{index}.member", 1, 128) for index, key in enumerate(_list(values, "tagKeys"), 1)]


def _list(value: object, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise invalid(value, name, "Member must be a list")
    if len(value) > _MOST_TAGS:
        raise invalid(len(value), name, f"Member must have length less than or equal to {_MOST_TAGS}")
    return value


def resource_arn(value: object) -> str:
    """The ARN of what tags are about."""
    return text(value, "resourceArn", 1, 1011)


def one_of(value: object, name: str, choices: type[E]) -> E:
    """A required member of a closed set."""
    found = text(value, name, 1, 64)
    try:
        return choices(found)
    except ValueError:
        allowed = ", ".join(choice.value for choice in choices)
        raise invalid(found, name, f"Member must satisfy enum value set: [{allowed}]") from None


def job_name(value: object) -> str:
    """The name of a packaging job."""
    return text(value, "jobName", 1, 64, _JOB_NAME)


def job_description(value: object) -> str | None:
    """A packaging job's description."""
    return optional_text(value, "description", 1, 256, _PLAIN_TEXT)


def component_name(value: object, name: str) -> str:
    """The name of a component."""
    return text(value, name, 1, 128, _COMPONENT_NAME)


def component_version(value: object, name: str) -> str | None:
    """The version of a component: three numbers."""
    return optional_text(value, name, 1, 64, _COMPONENT_VERSION)


def component_description(value: object, name: str) -> str | None:
    """A component's description."""
    return optional_text(value, name, 1, 256, _PLAIN_TEXT)


def compiler_options(value: object, name: str) -> str | None:
    """Compiler options as they came; what may stand in them is not the protocol's matter."""
    return optional_text(value, name, 3, 1024)
