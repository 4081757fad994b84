"""Objects drawn over a picture: right, wrong and missed ones differ in stroke and sign, not in colour alone."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from vigia_training.domain.label_outcomes import Verdict
from vigia_training.domain.label_worth import Mark

SIGNS: Final[dict[Verdict, str]] = {"right": "✓", "confused": "≠", "false": "✕", "missed": "○"}
MEANINGS: Final[dict[Verdict, str]] = {
    "right": "right",
    "confused": "taken for another label",
    "false": "said, but not there",
    "missed": "there, but not said",
}
#: Characters of a name in a picture, and pixels of its letters.
_NAME = 16
_LETTER = 10


def overlay(marks: Sequence[Mark], width: int, height: int) -> str:
    """An SVG of the picture's size, ``width`` x ``height`` pixels; wrong ones lie above right ones."""
    drawn = []
    for mark in reversed(marks):
        if mark.box is None:
            continue
        left, top, wide, high = (
            side * length for side, length in zip(mark.box, (width, height, width, height), strict=True)
        )
        place = f'x="{left:.1f}" y="{top:.1f}" width="{wide:.1f}" height="{high:.1f}"'
        above = top - 3 if top > _LETTER + 3 else min(top + high + _LETTER, height - 3)
        drawn.append(
            f'<g><title>{escape(in_words(mark, 2 * _NAME))}</title><rect class="case" {place}/>'
            f'<rect class="box {mark.verdict}" {place}/>'
            f'<text x="{min(left, width - 40.0):.1f}" y="{above:.1f}">{SIGNS[mark.verdict]} '
            f"{escape(_short(mark.said or mark.true or '', _NAME))}</text></g>"
        )
    return f'<svg viewBox="0 0 {width} {height}" preserveAspectRatio="none" aria-hidden="true">{"".join(drawn)}</svg>'


def in_words(mark: Mark, most: int) -> str:
    """One outcome as text, names of at most so many characters."""
    said, true = _short(mark.said or "", most), _short(mark.true or "", most)
    sure = "" if mark.confidence is None else f" {mark.confidence:.2f}"
    if mark.verdict == "missed":
        return f"{true}{sure}"
    return f"{true}, taken for {said}{sure}" if mark.verdict == "confused" else f"{said}{sure}"


def sample(verdict: Verdict) -> str:
    """How a box of that verdict looks, for the key."""
    return (
        '<svg class="stroke boxed" viewBox="0 0 30 16" aria-hidden="true"><rect x="0" y="0" width="30" height="16" '
        'fill="#777"/><rect class="case" x="4" y="3" width="22" height="10"/>'
        f'<rect class="box {verdict}" x="4" y="3" width="22" height="10"/></svg>'
    )


def _short(name: str, most: int) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"
