"""Shortens pauses: the guide's samples sleep up to ten minutes between two looks."""

import time

_sleep = time.sleep


def _short(seconds: float) -> None:
    _sleep(min(seconds, 1.0))


time.sleep = _short
