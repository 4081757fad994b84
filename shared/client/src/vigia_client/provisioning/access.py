"""Policies, roles and users, through ``/api/v1/iam``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from pydantic import BaseModel

from vigia_client.api import ApiError, Json, Vigia
from vigia_client.datasets.places import last
from vigia_client.provisioning.changes import Act, Change, Key, deleting, differences
from vigia_client.provisioning.documents import Problem
from vigia_client.provisioning.spec import Declared, Spec

#: In the order in which they need each other.
_KINDS: Final = (("policies", "policy"), ("roles", "role"), ("users", "user"))
_HOLDERS: Final = (("users", "user"), ("roles", "role"))
#: Lists in which the order means nothing.
_SETS: Final = frozenset({"policies", "trust"})
_MANAGE: Final = "vigia:ManageIdentity"


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

    def prune(self, kinds: Collection[str], caller: str) -> Iterator[Change]:
        """Delete of ``kinds`` what is not declared: users and roles, then policies that nobody has any more.

        ``caller``, the ARN of who asks, stays, and so does the last user who could manage the others.
        """
        there = {
            (one, row["name"]): [*map(last, row["policies"])]
            for kind, one in _HOLDERS
            for row in self._vigia.accesses(kind)
        }
        going = [
            (one, name)
            for kind, one in _HOLDERS
            if kind in kinds
            for name in sorted(name for holder, name in there if holder == one)
            if name not in self._declared(kind)
        ]
        for key, why in self._indispensable(going, caller).items():
            going.remove(key)
            yield Change(*key, Act.NONE, note=f"not declared, and kept: {why}")
        for one, name in going:
            yield Change(one, name, Act.DELETE, make=self._remove(f"{one}s", name))
        if "policies" in kinds:
            stays = {key: policies for key, policies in there.items() if key not in going} | {
                (one, name): [*map(last, thing.value.model_dump()["policies"])]
                for kind, one in _HOLDERS
                for name, thing in self._declared(kind).items()
            }
            yield from self._prune_policies(stays)

    def _prune_policies(self, stays: Mapping[Key, Sequence[str]]) -> Iterator[Change]:
        held = {policy: f"{one} {name}" for (one, name), policies in stays.items() for policy in policies}
        for row in self._vigia.accesses("policies"):
            name = row["name"]
            if row["managed"] or name in self._spec.policies:
                continue
            if name in held:
                yield Change("policy", name, Act.NONE, note=f"not declared, and kept: {held[name]} has it")
            else:
                yield Change("policy", name, Act.DELETE, make=self._remove("policies", name))

    def _indispensable(self, going: Collection[Key], caller: str) -> dict[Key, str]:
        """Of what would go, what must not, and why."""
        kind, _, names = caller.rpartition(":")[2].partition("/")
        asks = ("role" if kind == "assumed-role" else kind, names.partition("/")[0])
        kept = {asks: "it is who asks"} if asks in going else {}
        users = [name for one, name in going if one == "user"]
        if users and kind != "user":
            managers = [row["name"] for row in self._vigia.accesses("users") if self._manages(row["name"])]
            if managers and set(managers) <= set(users):
                kept["user", managers[0]] = "nobody else could manage users and policies"
        return kept

    def _manages(self, user: str) -> bool:
        signs = any(key["status"] == "Active" for key in self._vigia.access_keys(user))
        return signs and self._vigia.simulate(_MANAGE, user=user)["decision"] == "allowed"

    def _remove(self, kind: str, name: str) -> Callable[[], bool]:
        return deleting(partial(self._vigia.remove_access, kind, name))

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
