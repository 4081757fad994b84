"""The protocol's constraints, all checked here: clients check only what is required and how short it may be."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, Final

from vigia_contracts.base import ObjectRef
from vigia_contracts.training import OutputLocation
from vigia_registry.datasets.domain import DatasetKind
from vigia_registry.http.members import invalid, optional_text, structure, tag_text, text
from vigia_registry.projects.domain import FREE_NAME, LONGEST_NAME
from vigia_runtime.errors import InvalidInput

_MOST_TAGS: Final = 200
_DESCRIPTION: Final = re.compile(r"[a-zA-Z0-9-_. ()':,;?]+")
_HEX: Final = re.compile(r"[0-9A-Fa-f]+")
#: Characters; a document that is shorter, and too long all the same, is a malformed one.
_MOST_DOCUMENT: Final = 100_000
_ARN: Final = r"arn:[a-z\d-]+:rekognition:[a-z\d-]+:\d{12}:"
_PROJECT_ARN: Final = re.compile(_ARN + r"project/[a-zA-Z0-9_.\-]{1,255}/[0-9]+")
_VERSION_ARN: Final = re.compile(_ARN + r"project/[a-zA-Z0-9_.\-]{1,255}/version/[a-zA-Z0-9_.\-]{1,255}/[0-9]+")
_BUCKET: Final = re.compile(r"[0-9A-Za-z.\-_]*")
_DATASET_ARN: Final = re.compile(_ARN + r"project/[a-zA-Z0-9_.\-]{1,255}/dataset/(train|test)/[0-9]+")


def project_name(value: object, name: str = "projectName") -> str:
    """A project's name."""
    return text(value, name, 1, LONGEST_NAME, FREE_NAME)


def version_name(value: object, name: str = "versionName") -> str:
    """A version's name."""
    return text(value, name, 1, LONGEST_NAME, FREE_NAME)


def project_arn(value: object, name: str = "projectArn") -> str:
    """The ARN of a project, of whichever account."""
    return text(value, name, 20, 2048, _PROJECT_ARN)


def version_arn(value: object, name: str = "projectVersionArn") -> str:
    """The ARN of a model version, of whichever account."""
    return text(value, name, 20, 2048, _VERSION_ARN)


def dataset_arn(value: object, name: str = "datasetArn") -> str:
    """The ARN of a dataset, of whichever account."""
    return text(value, name, 20, 2048, _DATASET_ARN)


def dataset_kind(value: object, name: str = "datasetType") -> DatasetKind:
    """What a dataset is for, in capitals."""
    if text(value, name, 1, 64) not in ("TRAIN", "TEST"):
        raise invalid(value, name, "Member must satisfy enum value set: [TRAIN, TEST]")
    return DatasetKind(str(value).lower())


def s3_object(value: object, name: str) -> ObjectRef:
    """A required object in the object store."""
    place = structure(value, name)
    return ObjectRef(
        bucket=text(place.get("Bucket"), f"{name}.bucket", 3, 255, _BUCKET),
        key=text(place.get("Name"), f"{name}.name", 1, 1024),
        version_id=optional_text(place.get("Version"), f"{name}.version", 1, 1024),
    )


def blob(value: object, name: str, most: int) -> bytes:
    """1 to ``most`` bytes, which travel as base64."""
    if value is None:
        raise invalid("null", name, "Member must not be null")
    try:
        found = base64.b64decode(value, validate=True) if isinstance(value, str) else None
    except (binascii.Error, ValueError):
        found = None
    if found is None:
        raise invalid("...", name, "Member must be base64")
    if not 1 <= len(found) <= most:
        raise invalid("...", name, f"Member must have length between 1 and {most}")
    return found


def page_token(value: object) -> str | None:
    """Where a list goes on. Clients send an empty text for its beginning."""
    return None if value in (None, "") else text(value, "nextToken", 1, 1024)


def page_size(value: object, most: int = 100) -> int:
    """How many rows a page has: 1 to ``most``, which it is where nothing was asked."""
    if value is None:
        return most
    size = whole(value, "maxResults", 1)
    if size > most:
        constraint = f"Member must have value less than or equal to {most}"
        raise InvalidInput("page_too_large", invalid(value, "maxResults", constraint).message)
    return size


def whole(value: object, name: str, least: int) -> int:
    """A whole number of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise invalid(value, name, "Member must be an integer")
    if value < least:
        raise invalid(value, name, f"Member must have value greater than or equal to {least}")
    return value


def flag(value: object, name: str) -> bool | None:
    """True, false, or nothing."""
    if value is not None and not isinstance(value, bool):
        raise invalid(value, name, "Member must be a boolean")
    return value


def texts(value: object, name: str, most: int) -> list[str]:
    """1 to ``most`` texts of 1 to 255 characters; none where nothing was given."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise invalid(value, name, "Member must be a list")
    if not 1 <= len(value) <= most:
        raise invalid(len(value), name, f"Member must have length between 1 and {most}")
    return [text(item, f"{name}.{index}.member", 1, 255) for index, item in enumerate(value, 1)]


def tags(value: object) -> dict[str, str]:
    """Tags by their keys; none where nothing was given."""
    given = {} if value is None else structure(value, "tags")
    if len(given) > _MOST_TAGS:
        raise invalid(len(given), "tags", f"Member must have length less than or equal to {_MOST_TAGS}")
    return {tag_text(key, "tags", 1, 128): tag_text(item, f"tags.{key}", 0, 256) for key, item in given.items()}


def given_tags(value: object) -> dict[str, str]:
    """As ``tags``, where they must be given."""
    structure(value, "tags")
    return tags(value)


def tag_keys(value: object) -> list[str]:
    """Keys of tags; none at all is a list too."""
    if value is None:
        raise invalid("null", "tagKeys", "Member must not be null")
    if not isinstance(value, list):
        raise invalid(value, "tagKeys", "Member must be a list")
    if len(value) > _MOST_TAGS:
        raise invalid(len(value), "tagKeys", f"Member must have length less than or equal to {_MOST_TAGS}")
    return [tag_text(key, f"tagKeys.{index}.member", 1, 128) for index, key in enumerate(value, 1)]


def resource_arn(value: object) -> str:
    """The ARN of what tags are about."""
    return text(value, "resourceArn", 20, 2048)


def output_config(value: object) -> OutputLocation:
    """Where results go."""
    place = structure(value, "outputConfig")
    return OutputLocation(
        bucket=text(place.get("S3Bucket"), "outputConfig.s3Bucket", 3, 255, _BUCKET),
        prefix=optional_text(place.get("S3KeyPrefix"), "outputConfig.s3KeyPrefix", 0, 1024) or "",
    )


def description(value: object) -> str | None:
    """A version's description."""
    return optional_text(value, "versionDescription", 1, 255, _DESCRIPTION)


def no_feature_config(value: object) -> None:
    """Settings of features: none of them is of Custom Labels."""
    given = {} if value is None else structure(value, "featureConfig")
    if given.get("ContentModeration") is not None:
        raise invalid("...", "featureConfig.contentModeration", "Member must not be given for CUSTOM_LABELS")


def asset(value: object, name: str) -> ObjectRef | None:
    """The one manifest among the assets of training or testing data; None where none are given."""
    if value is None:
        return None
    if not isinstance(value, list):
        raise invalid(value, name, "Member must be a list")
    if not value:
        return None
    if len(value) > 1:
        raise invalid(len(value), name, "Member must have length less than or equal to 1")
    where = f"{name}.1.member"
    manifest = structure(structure(value[0], where).get("GroundTruthManifest"), f"{where}.groundTruthManifest")
    return s3_object(manifest.get("S3Object"), f"{where}.groundTruthManifest.s3Object")


def data(value: object, name: str) -> dict[str, Any]:
    """Training or testing data; empty where they are not given."""
    return {} if value is None else structure(value, name)


def policy_name(value: object) -> str:
    """A project policy's name."""
    return text(value, "policyName", 1, 128, FREE_NAME)


def policy_document(value: object) -> str:
    """A project policy's document; what may stand in it is not the protocol's matter."""
    return text(value, "policyDocument", 1, _MOST_DOCUMENT)


def policy_revision(value: object) -> str | None:
    """The id of a policy's revision. Clients send an empty text where there is none."""
    return None if value == "" else optional_text(value, "policyRevisionId", 1, 64, _HEX)


def feature(value: object) -> None:
    """Which part of Rekognition a project is for: there is one here."""
    if value not in (None, "CUSTOM_LABELS"):
        text(value, "feature", 1, 64)
        raise invalid(value, "feature", "Member must satisfy enum value set: [CUSTOM_LABELS]")
