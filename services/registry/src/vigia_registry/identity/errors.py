"""What can go wrong with users, keys, roles and policies."""

from __future__ import annotations

from vigia_runtime.errors import AccessDenied, Conflict, InvalidInput, NotFound


class UserNotFound(NotFound):
    def __init__(self, name: str) -> None:
        super().__init__("user_not_found", f"There is no user {name}.")


class RoleNotFound(NotFound):
    def __init__(self, name: str) -> None:
        super().__init__("role_not_found", f"There is no role {name}.")


class PolicyNotFound(NotFound):
    def __init__(self, name: str) -> None:
        super().__init__("policy_not_found", f"There is no policy {name}.")


class UnknownPolicy(InvalidInput):
    """A user or role was to get a policy that does not exist."""

    def __init__(self, name: str) -> None:
        super().__init__("unknown_policy", f"There is no policy {name}.")


class KeyNotFound(NotFound):
    def __init__(self, user: str, access_key_id: str) -> None:
        super().__init__("access_key_not_found", f"User {user} has no access key {access_key_id}.")


class BadName(InvalidInput):
    def __init__(self, kind: str, most: int) -> None:
        super().__init__("bad_name", f"The name of a {kind} has 1 to {most} letters, digits and the characters _+=,.@-")


class NotAPrincipal(InvalidInput):
    def __init__(self) -> None:
        super().__init__(
            "not_a_principal",
            "A role can trust accounts (12 digits) and the ARNs of users, roles and sessions of roles.",
        )


class ManagedPolicyFixed(Conflict):
    def __init__(self, name: str) -> None:
        super().__init__("managed_policy", f"Policy {name} comes with the product and cannot be changed.")


class PolicyInUse(Conflict):
    def __init__(self, name: str, holders: list[str]) -> None:
        super().__init__(
            "policy_in_use", f"Policy {name} is still attached to {', '.join(holders)}.", {"holders": holders}
        )


class TooMany(Conflict):
    """The most of something that there may be."""

    def __init__(self, what: str, limit: int) -> None:
        super().__init__("limit_reached", f"There may be at most {limit} {what}.", {"limit": limit})


class LastManager(Conflict):
    """The change would leave nobody who could undo it."""

    def __init__(self) -> None:
        super().__init__(
            "last_manager",
            "No user with an active key could manage users and policies any more: let another one first.",
        )


class AccountExists(Conflict):
    def __init__(self, account_id: str) -> None:
        super().__init__("account_exists", f"Account {account_id} already exists.")


class NotTheFirstAccount(AccessDenied):
    """Accounts are the installation's matter, and its own account's alone."""

    def __init__(self) -> None:
        super().__init__("access_denied", "Only the installation's first account may see and add accounts.")
