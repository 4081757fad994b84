"""Changes that are due, and making them: all that can be made, once nothing is wrong with any of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import httpx
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as StoreConnectionError

from vigia_client.api import ApiError
from vigia_client.errors import ActionableError

#: Who cannot be reached for one change will not be for the next.
_AWAY: Final = (httpx.TransportError, StoreConnectionError, HTTPClientError)


class Act(StrEnum):
    """What is due."""

    CREATE = "create"
    CHANGE = "change"
    DELETE = "delete"
    NONE = "none"


class Outcome(StrEnum):
    """What came of it."""

    DONE = "done"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    NOT_TRIED = "not tried"


#: Field, old value, new value, as they may be shown.
Difference = tuple[str, Any, Any]
Key = tuple[str, str]


@dataclass(slots=True)
class Change:
    """One thing. ``make`` does what is due and says whether anything changed; ``needs``: what must be there for it."""

    kind: str
    name: str
    act: Act
    differences: list[Difference] = field(default_factory=list)
    note: str = ""
    needs: tuple[Key, ...] = ()
    make: Callable[[], bool] | None = None

    @property
    def key(self) -> Key:
        return self.kind, self.name


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a change."""

    change: Change
    outcome: Outcome
    reason: str = ""


def make_all(changes: Iterable[Change], hide: Callable[[str], str], told: Callable[[Result], None]) -> list[Result]:
    """Make the changes in their order. One that fails stops only what needs it; ``hide`` takes secrets from texts."""
    results: list[Result] = []
    broken: set[Key] = set()
    away = ""
    for change in changes:
        if lacking := [f"{kind} {name}" for kind, name in change.needs if (kind, name) in broken]:
            result = Result(change, Outcome.NOT_TRIED, f"needs {', '.join(lacking)}")
        elif change.make is None:
            result = Result(change, Outcome.UNCHANGED)
        elif away:
            result = Result(change, Outcome.NOT_TRIED, away)
        else:
            result, gone = _make(change, change.make, hide)
            away = result.reason if gone else ""
        if result.outcome in (Outcome.FAILED, Outcome.NOT_TRIED):
            broken.add(change.key)
        results.append(result)
        told(result)
    return results


def _make(change: Change, make: Callable[[], bool], hide: Callable[[str], str]) -> tuple[Result, bool]:
    """The result, and whether whoever was asked cannot be reached at all."""
    try:
        changed = make()
    except _AWAY as error:
        return Result(change, Outcome.FAILED, hide(f"cannot be reached: {type(error).__name__}")), True
    except ApiError as error:
        return Result(change, Outcome.FAILED, hide(f"{error} [{error.status} {error.code}]")), False
    except ClientError as error:
        told = error.response["Error"]
        return Result(change, Outcome.FAILED, hide(f"{told.get('Message')} [{told.get('Code')}]")), False
    except (ActionableError, BotoCoreError, httpx.HTTPError) as error:
        return Result(change, Outcome.FAILED, hide(str(error))), False
    return Result(change, Outcome.DONE if changed else Outcome.UNCHANGED), False


def deleting(act: Callable[[], object]) -> Callable[[], bool]:
    """What a change does that deletes. Deleting what is gone already is no failure."""

    def delete() -> bool:
        try:
            act()
        except ApiError as error:
            if error.status != 404:
                raise
            return False
        return True

    return delete


def differences(old: Mapping[str, Any], new: Mapping[str, Any], path: str = "") -> Iterator[Difference]:
    """Where two values differ, field by field; lists are compared as a whole."""
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        where = f"{path}.{name}" if path else name
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from differences(before, after, where)
        elif before != after:
            yield where, before, after
