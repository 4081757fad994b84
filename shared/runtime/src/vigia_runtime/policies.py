"""What a caller may do: IAM's policy documents, checked when they are stored and evaluated at every door.

Nothing here does I/O. An explicit Deny wins over every Allow, and what nobody allows is denied. A document that cannot
be read denies everything: it may have held a Deny.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

from vigia_runtime.errors import AccessDenied, InvalidInput
from vigia_runtime.sigv4 import Credential

#: Characters of a document, white space between its parts not counted.
MAX_DOCUMENT: Final = 6144
MAX_STATEMENTS: Final = 100
VERSIONS: Final = ("2012-10-17", "2008-10-17")

Context = Mapping[str, str | Sequence[str]]

_SID: Final = re.compile(r"[A-Za-z0-9 ]{0,100}")
_ACTION: Final = re.compile(r"[A-Za-z0-9*?-]+:[A-Za-z0-9*?]+|\*")
_OPERATOR: Final = re.compile(r"[A-Za-z]{1,40}(:[A-Za-z]{1,40})?")
_CONDITION_KEY: Final = re.compile(r"[A-Za-z0-9-]+:.{1,200}")
_STATEMENT_PARTS: Final = frozenset({"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"})


class PolicyError(InvalidInput):
    """A document that is no policy; the message names the place."""

    def __init__(self, problem: str) -> None:
        super().__init__("malformed_policy", f"The policy is not valid: {problem}.")
        self.problem = problem


class Decision(StrEnum):
    """What policies say to a request."""

    ALLOWED = "allowed"
    EXPLICIT_DENY = "explicitDeny"
    IMPLICIT_DENY = "implicitDeny"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A decision, and the statements that made it: (number of the document, Sid or number of the statement)."""

    decision: Decision
    statements: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """``action``: "service:Operation"; ``resource``: an ARN or ``*``; ``keys``: condition keys in lower case."""

    action: str
    resource: str
    keys: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, action: str, resource: str, context: Context) -> Request:
        """The request; condition keys that differ in case alone are one key with several values."""
        keys: dict[str, tuple[str, ...]] = {}
        for name, value in context.items():
            values = (value,) if isinstance(value, str) else tuple(value)
            keys[name.lower()] = keys.get(name.lower(), ()) + values
        return cls(action, resource, keys)


_Test = Callable[[Request], bool]


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement, compiled. ``applies`` ends with its conditions."""

    sid: str
    allows: bool
    tests: tuple[_Test, ...]

    def applies(self, request: Request) -> bool:
        """Whether the statement is about this request."""
        return all(test(request) for test in self.tests)


@lru_cache(maxsize=1024)
def compiled(document: str) -> tuple[Statement, ...]:
    """The statements of a document given as JSON; PolicyError. The last thousand documents are kept."""
    return _statements(_parsed(document))


def canonical(document: str | Mapping[str, Any]) -> str:
    """The document as it is stored, JSON without white space, once it is found valid; PolicyError."""
    content = _parsed(document) if isinstance(document, str) else document
    try:
        text = json.dumps(content, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError):
        raise PolicyError("it is not JSON") from None
    if len(text) > MAX_DOCUMENT:
        raise PolicyError(f"it has {len(text)} characters, the most are {MAX_DOCUMENT}")
    compiled(text)
    return text


def allowing(*actions: str) -> str:
    """The document that allows these actions on everything."""
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return canonical({"Version": VERSIONS[0], "Statement": [statement]})


def evaluate(documents: Iterable[str], request: Request) -> Outcome:
    """What all documents together say."""
    allowed: list[tuple[int, str]] = []
    denied: list[tuple[int, str]] = []
    for number, document in enumerate(documents):
        try:
            statements = compiled(document)
        except PolicyError:
            denied.append((number, "unreadable"))
            continue
        for statement in statements:
            if statement.applies(request):
                (allowed if statement.allows else denied).append((number, statement.sid))
    if denied:
        return Outcome(Decision.EXPLICIT_DENY, tuple(denied))
    if allowed:
        return Outcome(Decision.ALLOWED, tuple(allowed))
    return Outcome(Decision.IMPLICIT_DENY)


def decide(
    credential: Credential, action: str, resource: str, context: Context | None = None, *, via_service: bool = False
) -> Decision:
    """What the caller's policies say; a session's own policies can only take away.

    ``via_service``: it is not the caller that does it but a service, on the caller's behalf.
    """
    keys = {**(context or {}), **principal_keys(credential)}
    if via_service:
        keys["aws:ViaAWSService"] = "true"
    request = Request.of(action, resource, keys)
    identity = evaluate(credential.policies, request).decision
    if credential.session_policies is None:
        return identity
    session = evaluate(credential.session_policies, request).decision
    if Decision.EXPLICIT_DENY in (identity, session):
        return Decision.EXPLICIT_DENY
    return Decision.ALLOWED if identity is session is Decision.ALLOWED else Decision.IMPLICIT_DENY


def authorize(
    credential: Credential,
    action: str,
    resource: str = "*",
    context: Context | None = None,
    *,
    via_service: bool = False,
) -> None:
    """AccessDenied, worded as AWS words it, unless the caller may do ``action`` to ``resource``.

    ``context`` has the request's condition keys, such as ``aws:ResourceTag/stage``; the caller's own are added here.
    """
    if decide(credential, action, resource, context, via_service=via_service) is not Decision.ALLOWED:
        raise denied(credential, action, resource)


def denied(credential: Credential, action: str, resource: str) -> AccessDenied:
    """The refusal."""
    return AccessDenied(
        "access_denied",
        f"User: {credential.principal_arn} is not authorized to perform: {action} on resource: {resource}",
    )


def principal_keys(credential: Credential) -> dict[str, str]:
    """The condition keys that say who is calling."""
    kind, _, name = credential.principal_arn.rpartition(":")[2].partition("/")
    keys = {
        "aws:PrincipalAccount": credential.account_id,
        "aws:PrincipalArn": credential.principal_arn,
        "aws:PrincipalType": "User",
        "aws:userid": credential.principal_id,
        "aws:ViaAWSService": "false",
    }
    if kind == "user":
        keys["aws:username"] = name
    if kind == "assumed-role":
        # As IAM has it: the key names the role, not its session.
        keys["aws:PrincipalArn"] = role_arn(credential.account_id, name.partition("/")[0])
        keys["aws:PrincipalType"] = "AssumedRole"
    return keys


def user_arn(account_id: str, name: str) -> str:
    """A user's ARN."""
    return f"arn:aws:iam::{account_id}:user/{name}"


def role_arn(account_id: str, name: str) -> str:
    """A role's ARN."""
    return f"arn:aws:iam::{account_id}:role/{name}"


def vigia_arn(account_id: str, path: str) -> str:
    """The ARN of a thing of Vigia's own API, such as ``camera/oven-1``. Regions play no part there."""
    return f"arn:aws:vigia::{account_id}:{path}"


def tag_keys(tags: Mapping[str, str], kind: str = "aws:ResourceTag") -> dict[str, str]:
    """Condition keys of tags: ``aws:ResourceTag/KEY`` or ``aws:RequestTag/KEY``."""
    return {f"{kind}/{name}": value for name, value in tags.items()}


# --- documents ----------------------------------------------------------------------------------------------------


def _parsed(document: str) -> Any:
    # White space is free, within reason: reading must have a bound too.
    if len(document) > 4 * MAX_DOCUMENT:
        raise PolicyError(f"it has {len(document)} characters, the most are {MAX_DOCUMENT}")
    try:
        return json.loads(document, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise PolicyError("it is not JSON") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise PolicyError("a name stands twice in one object")
    return found


def _statements(content: Any) -> tuple[Statement, ...]:
    document = _object(content, "the document")
    _known(document, {"Version", "Id", "Statement"}, "the document")
    if not isinstance(document.get("Id", ""), str):
        raise PolicyError("Id must be a text")
    _writable(document.get("Id", ""), "Id")
    if document.get("Version", VERSIONS[1]) not in VERSIONS:
        raise PolicyError(f"Version must be {' or '.join(VERSIONS)}")
    given = document.get("Statement")
    rows = [given] if isinstance(given, dict) else given
    if not isinstance(rows, list) or not rows:
        raise PolicyError("Statement must be a statement or a list of some")
    if len(rows) > MAX_STATEMENTS:
        raise PolicyError(f"it has {len(rows)} statements, the most are {MAX_STATEMENTS}")
    statements = tuple(_statement(row, index) for index, row in enumerate(rows))
    sids = [row["Sid"] for row in rows if row.get("Sid")]
    if len(set(sids)) != len(sids):
        raise PolicyError("two statements have the same Sid")
    return statements


def _statement(content: Any, index: int) -> Statement:
    where = f"Statement[{index}]"
    row = _object(content, where)
    _known(row, _STATEMENT_PARTS, where)
    sid = row.get("Sid", "")
    if not isinstance(sid, str) or _SID.fullmatch(sid) is None:
        raise PolicyError(f"{where}.Sid must be letters, digits and blanks")
    if row.get("Effect") not in ("Allow", "Deny"):
        raise PolicyError(f"{where}.Effect must be Allow or Deny")
    tests = [
        _one_of(row, "Action", where, _action),
        _one_of(row, "Resource", where, _resource),
        *_conditions(row.get("Condition", {}), f"{where}.Condition"),
    ]
    return Statement(sid or str(index), row["Effect"] == "Allow", tuple(tests))


def _one_of(row: Mapping[str, Any], name: str, where: str, compile_one: Callable[[str, str], _Test]) -> _Test:
    """``Action`` or ``NotAction``: the test of either."""
    negated = f"Not{name}"
    if (name in row) == (negated in row):
        raise PolicyError(f"{where} must have either {name} or {negated}")
    given = name if name in row else negated
    tests = tuple(compile_one(text, f"{where}.{given}") for text in _texts(row[given], f"{where}.{given}"))
    wanted = given == name
    return lambda request: any(test(request) for test in tests) is wanted


def _action(pattern: str, where: str) -> _Test:
    if _ACTION.fullmatch(pattern) is None:
        raise PolicyError(f"{where} must be patterns such as lookoutvision:Describe*")
    matches = glob(pattern.lower())
    return lambda request: matches(request.action.lower())


def _resource(pattern: str, where: str) -> _Test:
    _plain(pattern, where)
    if pattern == "*":
        return lambda request: True
    matches = _arn_pattern(pattern, where)
    return lambda request: matches(request.resource)


# --- conditions ---------------------------------------------------------------------------------------------------


def _conditions(content: Any, where: str) -> list[_Test]:
    tests = []
    for operator, keys in _object(content, where).items():
        if _OPERATOR.fullmatch(operator) is None:
            raise PolicyError(f"{where} has {operator[:100]!r}, which is no operator")
        for key, values in _object(keys, f"{where}.{operator}").items():
            if _CONDITION_KEY.fullmatch(key) is None:
                raise PolicyError(f"{where}.{operator} has a condition key that is none")
            _writable(key, f"{where}.{operator}")
            tests.append(_condition(operator, key.lower(), values, f"{where}.{operator}"))
    return tests


def _condition(operator: str, key: str, values: Any, where: str) -> _Test:
    if operator == "Null":
        absent = {_flag(text, where) for text in _texts(values, where)}
        return lambda request: ("false" if request.keys.get(key) else "true") in absent
    quantifier, colon, name = operator.rpartition(":")
    if colon and quantifier not in ("ForAllValues", "ForAnyValue"):
        raise PolicyError(f"{where} is not an operator that is known here")
    base = name.removesuffix("IfExists")
    if_exists = base != name
    known = _OPERATORS.get(base)
    if known is None:
        raise PolicyError(f"{where} is not an operator that is known here")
    make, negated = known
    matchers = [make(text, where) for text in _texts(values, where)]

    def holds(value: str) -> bool:
        return any(matches(value) for matches in matchers) is not negated

    def test(request: Request) -> bool:
        found = request.keys.get(key, ())
        if not found and if_exists:
            return True
        if quantifier == "ForAllValues":
            return all(holds(value) for value in found)
        if quantifier == "ForAnyValue":
            return any(holds(value) for value in found)
        # Without a key nothing equals anything: what must differ does.
        return all(holds(value) for value in found) if negated else any(holds(value) for value in found)

    return test


_Matcher = Callable[[str], bool]


def _equal(text: str, where: str) -> _Matcher:
    return lambda value: value == text


def _equal_in_any_case(text: str, where: str) -> _Matcher:
    folded = text.casefold()
    return lambda value: value.casefold() == folded


def _like(text: str, where: str) -> _Matcher:
    return glob(text)


def _is_flag(text: str, where: str) -> _Matcher:
    flag = _flag(text, where)
    return lambda value: value.lower() == flag


def _arn_like(text: str, where: str) -> _Matcher:
    return _arn_pattern(text, where)


#: Operator: how a value is compared, and whether the comparison must fail.
_OPERATORS: Final[Mapping[str, tuple[Callable[[str, str], _Matcher], bool]]] = {
    "StringEquals": (_equal, False),
    "StringNotEquals": (_equal, True),
    "StringEqualsIgnoreCase": (_equal_in_any_case, False),
    "StringNotEqualsIgnoreCase": (_equal_in_any_case, True),
    "StringLike": (_like, False),
    "StringNotLike": (_like, True),
    "ArnEquals": (_arn_like, False),
    "ArnLike": (_arn_like, False),
    "ArnNotEquals": (_arn_like, True),
    "ArnNotLike": (_arn_like, True),
    "Bool": (_is_flag, False),
}


# --- parts --------------------------------------------------------------------------------------------------------


def glob(pattern: str) -> _Matcher:
    """Whether a text is ``pattern``, in which ``*`` stands for any characters and ``?`` for one.

    Every group is atomic: the time grows with the text's length times the pattern's, whatever the pattern.
    """
    first, *rest = (re.escape(part).replace(r"\?", ".") for part in re.sub(r"\*+", "*", pattern).split("*"))
    expression = first
    if rest:
        *middle, last = rest
        expression += "".join(f"(?>.*?{part})" for part in middle) + f".*{last}"
    found = re.compile(expression, re.DOTALL)
    return lambda text: found.fullmatch(text) is not None


def _arn_pattern(pattern: str, where: str) -> _Matcher:
    """Part by part: a wildcard stands for nothing beyond its own part, except in the last, which may have colons."""
    parts = pattern.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn":
        raise PolicyError(f"{where} must be * or ARNs with six parts, such as arn:aws:lookoutvision:*:*:model/*")
    matchers = [glob(part) for part in parts]

    def matches(text: str) -> bool:
        given = text.split(":", 5)
        return len(given) == 6 and all(match(part) for match, part in zip(matchers, given, strict=True))

    return matches


def _texts(value: Any, where: str) -> list[str]:
    """A text or a list of some. Numbers and booleans are the texts that JSON writes."""
    values = value if isinstance(value, list) else [value]
    if not values:
        raise PolicyError(f"{where} is empty")
    texts = []
    for one in values:
        if isinstance(one, bool | int | float):
            if isinstance(one, float) and not math.isfinite(one):
                raise PolicyError(f"{where} has what is no number")
            one = json.dumps(one)
        if not isinstance(one, str):
            raise PolicyError(f"{where} must be a text or a list of texts")
        texts.append(_plain(one, where))
    return texts


def _plain(text: str, where: str) -> str:
    _writable(text, where)
    # Taken literally, a Deny with a variable would never apply.
    if "${" in text:
        raise PolicyError(f"{where} has a policy variable, which is not supported")
    return text


def _writable(text: str, where: str) -> None:
    """JSON escapes what neither UTF-8 nor Postgres can hold: stored, it could not be shown any more."""
    if "\0" in text or any("\ud800" <= c <= "\udfff" for c in text):
        raise PolicyError(f"{where} has a character that cannot be written")


def _flag(text: str, where: str) -> str:
    if text.lower() not in ("true", "false"):
        raise PolicyError(f"{where} must be true or false")
    return text.lower()


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise PolicyError(f"{where} must be an object")
    return value


def _known(row: Mapping[str, Any], names: Iterable[str], where: str) -> None:
    if unknown := sorted(set(row) - set(names)):
        raise PolicyError(f"{where} has {unknown[0][:100]!r}, which is not known here")
