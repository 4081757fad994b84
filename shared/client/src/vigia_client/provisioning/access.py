"""Policies, roles and users, through ``/api/v1/iam``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from pydantic import BaseModel

from vigia_client.api import ApiError, Json, Vigia
from vigia_client.datasets.places import last
from vigia_client.provisioning.changes import Act, Change, differences
from vigia_client.provisioning.documents import Problem
from vigia_client.provisioning.spec import Declared, Spec

#: In the order in which they need each other.
_KINDS: Final = (("policies", "policy"), ("roles", "role"), ("users", "user"))
#: Lists in which the order means nothing.
_SETS: Final = frozenset({"policies", "trust"})


class Access:
    """What the installation has now, against what is declared."""

    def __init__(self, vigia: Vigia, spec: Spec) -> None:
        self._vigia = vigia
        self._spec = spec

    def problems(self) -> Iterator[Problem]:
        """Where the installation knows nothing of users and policies."""
        declared = [thing for kind, _ in _KINDS for thing in self._declared(kind).values()]
        if not declared:
            return
        try:
            next(self._vigia.accesses("policies"), None)
        except ApiError as error:
            if error.status not in (404, 405):
                raise
            for thing in declared:
                yield thing.problem(f"{thing.path[0]}: {thing.name}: this installation manages no users and policies")

    def changes(self) -> Iterator[Change]:
        for kind, one in _KINDS:
            for name, thing in sorted(self._declared(kind).items()):
                wanted = thing.value.model_dump(mode="json")
                known = self._vigia.access(kind, name)
                change = Change(one, name, Act.CREATE)
                if known is not None:
                    told = list(differences(_plain(known, wanted), _plain(wanted, wanted)))
                    change = Change(one, name, Act.CHANGE if told else Act.NONE, told)
                change.needs = tuple(("policy", last(policy)) for policy in wanted.get("policies", ()))
                if change.act is not Act.NONE:
                    change.make = self._put(kind, name, wanted)
                yield change

    def _declared(self, kind: str) -> dict[str, Declared[BaseModel]]:
        found: dict[str, Declared[BaseModel]] = getattr(self._spec, kind)
        return found

    def _put(self, kind: str, name: str, body: Json) -> Callable[[], bool]:
        def put() -> bool:
            self._vigia.put_access(kind, name, body)
            return True

        return put


def _plain(values: Json, wanted: Json) -> dict[str, Any]:
    """The fields that can be declared, lists without order in order."""
    plain: dict[str, Any] = {name: values.get(name) for name in wanted}
    plain |= {name: sorted(values.get(name) or []) for name in _SETS if name in wanted}
    if "policies" in plain:
        plain["policies"] = sorted(map(last, plain["policies"]))  # a policy's ARN is as good as its name
    return plain
