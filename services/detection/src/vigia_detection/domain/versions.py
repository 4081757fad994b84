"""Model versions of Custom Labels, as their ARNs name them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

#: As botocore's service model has it.
PATTERN: Final = (
    r"arn:[a-z\d-]+:rekognition:(?P<region>[a-z\d-]+):(?P<account_id>\d{12}):"
    r"project/(?P<project>[a-zA-Z0-9_.\-]{1,255})/version/(?P<version>[a-zA-Z0-9_.\-]{1,255})/[0-9]+"
)
_ARN: Final = re.compile(PATTERN, re.ASCII)


@dataclass(frozen=True, slots=True)
class Version:
    """A model version: whose it is, where, and what it and its project are called."""

    arn: str
    region: str
    account_id: str
    project: str
    name: str


def version_of(arn: str) -> Version | None:
    """The version that an ARN names; None where it names none."""
    found = _ARN.fullmatch(arn)
    if found is None:
        return None
    return Version(arn, found["region"], found["account_id"], found["project"], found["version"])
