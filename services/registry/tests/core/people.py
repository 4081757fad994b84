"""Users, roles and policies as tests make them: the client's calls by kind, refusals raised."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vigia_client.api import Json, Vigia


class Iam(Vigia):
    """``/api/v1/iam``."""

    def user(self, name: str) -> Json:
        return self._json("GET", f"/iam/users/{name}")

    def users(self) -> Iterator[Json]:
        return self.accesses("users")

    def put_user(self, name: str, policies: Sequence[str] = (), inline: Mapping[str, Any] | None = None) -> Json:
        return self._json("PUT", f"/iam/users/{name}", json={"policies": list(policies), "inline": dict(inline or {})})

    def remove_user(self, name: str) -> None:
        self.remove_access("users", name)

    def policy(self, name: str) -> Json:
        return self._json("GET", f"/iam/policies/{name}")

    def policies(self) -> Iterator[Json]:
        return self.accesses("policies")

    def put_policy(self, name: str, document: Mapping[str, Any], description: str = "") -> Json:
        body = {"document": dict(document), "description": description}
        return self._json("PUT", f"/iam/policies/{name}", json=body)

    def remove_policy(self, name: str) -> None:
        self.remove_access("policies", name)

    def role(self, name: str) -> Json:
        return self._json("GET", f"/iam/roles/{name}")

    def put_role(
        self,
        name: str,
        trust: Sequence[str],
        policies: Sequence[str] = (),
        inline: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> Json:
        body = {"policies": list(policies), "inline": dict(inline or {}), "trust": list(trust), **more}
        return self._json("PUT", f"/iam/roles/{name}", json=body)

    def remove_role(self, name: str) -> None:
        self.remove_access("roles", name)
