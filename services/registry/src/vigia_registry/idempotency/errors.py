"""What can go wrong with a client token."""

from __future__ import annotations

from vigia_runtime.errors import Conflict


class TokenReused(Conflict):
    """The token came before with other parameters."""

    def __init__(self, token: str, details: dict[str, str]) -> None:
        super().__init__(
            "client_token_reused", f"The client token {token} was used before with different parameters.", details
        )
