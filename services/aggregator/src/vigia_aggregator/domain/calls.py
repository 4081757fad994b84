"""What a call is found by, beside its own columns."""

from __future__ import annotations

from typing import Any, Final

from vigia_contracts.audit import CUSTOM_LABELS, Call, CloudTrailRecord

_LOOKOUT: Final = "AWS::LookoutVision::"
_REKOGNITION: Final = "AWS::Rekognition::"
#: Members of Custom Labels' requests that name something by its ARN, and what.
_NAMED_BY_ARN: Final = {
    "projectArn": "Project",
    "sourceProjectArn": "Project",
    "destinationProjectArn": "Project",
    "projectVersionArn": "ProjectVersion",
    "sourceProjectVersionArn": "ProjectVersion",
    "datasetArn": "Dataset",
    "resourceArn": "Resource",
}


def username(record: CloudTrailRecord) -> str:
    """The user's name; of a role's session the session's."""
    identity = record.userIdentity
    return identity.userName or identity.principalId.rpartition(":")[2]


def resources(call: Call) -> list[dict[str, str]]:
    """Type and name of everything that the request names. In Lookout a version is ``project/1``, a dataset
    ``project/train``; Custom Labels names all but new projects by their ARNs."""
    given = call.record.requestParameters or {}
    found: list[dict[str, str]] = []

    def add(kind: str, *names: Any) -> None:
        if all(isinstance(name, str) and name for name in names):
            found.append({"type": kind, "name": "/".join(names)})

    if call.record.eventSource == CUSTOM_LABELS:
        add(f"{_REKOGNITION}Project", given.get("projectName"))
        for member, kind in _NAMED_BY_ARN.items():
            add(f"{_REKOGNITION}{kind}", given.get(member))
        return found
    add(f"{_LOOKOUT}Project", given.get("projectName"))
    add(f"{_LOOKOUT}Dataset", given.get("projectName"), given.get("datasetType"))
    add(f"{_LOOKOUT}Model", given.get("projectName"), given.get("modelVersion"))
    add(f"{_LOOKOUT}Resource", given.get("resourceArn"))
    add(f"{_LOOKOUT}Project", given.get("project"))
    add(f"{_LOOKOUT}Model", given.get("project"), given.get("version"))
    add("Vigia::Trial", given.get("trial_id"))
    add("Vigia::Camera", given.get("camera_id"))
    add("Vigia::Line", given.get("line_id"))
    return found


def document(record: CloudTrailRecord) -> dict[str, Any]:
    """The record as CloudTrail delivers it: error fields only where there is an error, times to the second."""
    found = record.model_dump(mode="json", exclude_none=True)
    found["eventTime"] = f"{record.eventTime:%Y-%m-%dT%H:%M:%SZ}"
    for always in ("requestParameters", "responseElements"):
        found.setdefault(always, None)
    return found
