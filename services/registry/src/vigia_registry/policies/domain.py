"""What a project policy is: a document that says who may copy the project's model versions, or may not.

It is an IAM policy of resources, narrower than IAM's: one action, and every statement names whom it is about. What it
says of a caller is decided as identity policies are, by the statements that are about the caller.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from vigia_registry.identity.domain import account_named_by, named_by
from vigia_registry.policies.errors import PolicyMalformed
from vigia_runtime.policies import Decision, PolicyError, Request, compiled, evaluate, principal_keys
from vigia_runtime.sigv4 import Credential

ACTION: Final = "rekognition:CopyProjectVersion"
VERSION: Final = "2012-10-17"
#: Characters of a document.
LONGEST: Final = 2000

_PARTS: Final = frozenset({"Sid", "Effect", "Principal", "Action", "Resource", "Condition"})
_FORBIDDEN: Final = ("NotAction", "NotResource", "NotPrincipal")
_REQUIRED: Final = ("Effect", "Principal", "Action", "Resource")
_TOP: Final = frozenset({"Version", "Id", "Statement"})
_CHARACTERS: Final = re.compile(r"[\t\n\r\u0020-\u00ff]*")
_EFFECTS: Final = {"allow": "Allow", "deny": "Deny"}
_RESOURCE: Final = re.compile(r"arn:[a-z\d*?-]+:rekognition:[a-z\d*?-]*:[\d*?]*:project/[^/]+/version/.+")
_AWS: Final = re.compile(r"[0-9]{12}|arn:aws[a-z-]*:(iam|sts)::[0-9]{12}:(root|[a-z-]+/.+)|A[A-Z0-9]{15,127}")
#: Other principals than those of AWS accounts: none of them ever calls here.
_OTHERS: Final = frozenset({"Service", "Federated", "CanonicalUser"})
_ANYBODY: Final = "*"
#: How much of a wrong value a message repeats, characters.
_SHOWN: Final = 100


@dataclass(frozen=True, slots=True)
class ProjectPolicy:
    """A policy as it is stored. ``revision_id`` changes with every change of the document."""

    project_id: UUID
    name: str
    document: str
    revision_id: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: the AWS principals whom it is about, and the rest as the statement of an identity policy."""

    principals: tuple[str, ...]
    content: Mapping[str, Any]

    def is_about(self, caller: Credential) -> bool:
        """Whether the caller is one of its principals: by name, by role, by account, or as anybody."""
        own = self.principals
        identity = caller.principal_id.partition(":")[0]
        return _ANYBODY in own or named_by(own, caller) or account_named_by(own, caller) or identity in own


def parse(document: str) -> tuple[Statement, ...]:
    """The statements of a document; PolicyMalformed, whose message names what is wrong and where."""
    if len(document) > LONGEST:
        raise PolicyMalformed(f"it has {len(document)} characters, the most are {LONGEST}")
    if _CHARACTERS.fullmatch(document) is None:
        raise PolicyMalformed("it has a character that is not allowed")
    try:
        content = json.loads(document, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise PolicyMalformed("it is not JSON") from None
    row = _object(content, "the document", _TOP)
    if row.get("Version") != VERSION:
        raise PolicyMalformed(f"Version must be {VERSION}")
    given = row.get("Statement")
    rows = [given] if isinstance(given, dict) else given
    if not isinstance(rows, list) or not rows:
        raise PolicyMalformed("Statement must be a statement or a list of some")
    statements = tuple(_statement(one, f"Statement[{index}]") for index, one in enumerate(rows))
    try:
        compiled(_identity({name: row[name] for name in ("Id",) if name in row}, statements))
    except PolicyError as error:
        raise PolicyMalformed(error.problem) from None
    return statements


def decide(documents: Iterable[str], caller: Credential, action: str, resource: str) -> Decision:
    """What all documents together say of the caller; one that cannot be read denies, for it may have held a Deny."""
    about = []
    for document in documents:
        try:
            statements = parse(document)
        except PolicyMalformed:
            return Decision.EXPLICIT_DENY
        named = tuple(statement for statement in statements if statement.is_about(caller))
        if named:
            about.append(_identity({}, named))
    return evaluate(about, Request.of(action, resource, principal_keys(caller))).decision


def _identity(more: Mapping[str, Any], statements: Iterable[Statement]) -> str:
    """The policy that a principal would have of its own if it had these statements."""
    return json.dumps({**more, "Version": VERSION, "Statement": [statement.content for statement in statements]})


def _statement(content: Any, where: str) -> Statement:
    if isinstance(content, dict):
        for name in _FORBIDDEN:
            if name in content:
                raise PolicyMalformed(f"{where} has {name}, which is not allowed")
    row = _object(content, where, _PARTS)
    for name in _REQUIRED:
        if name not in row:
            raise PolicyMalformed(f"{where} has no {name}")
    effect = row["Effect"]
    if not isinstance(effect, str) or effect.lower() not in _EFFECTS:
        raise PolicyMalformed(f"{where}.Effect must be Allow or Deny")
    for action in _texts(row["Action"], f"{where}.Action"):
        if action.lower() != ACTION.lower():
            raise PolicyMalformed(f"{where}.Action has {action[:_SHOWN]!r}; only {ACTION} is supported")
    for resource in _texts(row["Resource"], f"{where}.Resource"):
        if _RESOURCE.fullmatch(resource) is None:
            wanted = "the ARN of a model version, or of all versions of a project (.../version/*)"
            raise PolicyMalformed(f"{where}.Resource has {resource[:_SHOWN]!r}, which is not {wanted}")
    principals = _principals(row["Principal"], f"{where}.Principal")
    rest = {name: value for name, value in row.items() if name != "Principal"}
    return Statement(principals, {**rest, "Effect": _EFFECTS[effect.lower()]})


def _principals(content: Any, where: str) -> tuple[str, ...]:
    if content == _ANYBODY:
        return (_ANYBODY,)
    if not isinstance(content, dict) or not content:
        raise PolicyMalformed(f'{where} must be "*" or an object such as {{"AWS": "111122223333"}}')
    found: list[str] = []
    for kind, value in content.items():
        names = _texts(value, f"{where}.{kind[:_SHOWN]}")
        if kind == "AWS":
            for name in names:
                if name != _ANYBODY and _AWS.fullmatch(name) is None:
                    raise PolicyMalformed(f"{where}.AWS has {name[:_SHOWN]!r}, which is no principal")
            found += names
        elif kind not in _OTHERS:
            raise PolicyMalformed(f"{where} has {kind[:_SHOWN]!r}, which is no kind of principal")
    return tuple(found)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise PolicyMalformed("a name stands twice in one object")
    return found


def _object(value: Any, where: str, names: frozenset[str]) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise PolicyMalformed(f"{where} must be an object")
    if unknown := sorted(set(value) - names):
        raise PolicyMalformed(f"{where} has {unknown[0][:_SHOWN]!r}, which is not known here")
    return value


def _texts(value: Any, where: str) -> list[str]:
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(one, str) for one in values):
        raise PolicyMalformed(f"{where} must be a text or a list of texts")
    return values
