"""What the customer can put right."""

from __future__ import annotations


class BadData(ValueError):  # noqa: N818 - names what is wrong, as the failure's code does
    """Images, masks or manifest that cannot be trained on. The message names the file and what is wrong with it."""


class Unreadable(BadData):
    """An object that cannot be got. ``denied``: for want of permission."""

    def __init__(self, problem: str, denied: bool = False) -> None:
        super().__init__(problem)
        self.denied = denied
