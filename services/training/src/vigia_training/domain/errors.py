"""What the customer can put right."""

from __future__ import annotations


class BadData(ValueError):  # noqa: N818 - names what is wrong, as the failure's code does
    """Images, masks or manifest that cannot be trained on. The message names the file and what is wrong with it."""
