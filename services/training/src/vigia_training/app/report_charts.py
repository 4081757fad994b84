"""Charts of the report as SVG that stands in an HTML page; the page's style sheet colours them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import pairwise

from vigia_training.domain.reliability import Reliability
from vigia_training.domain.report import Histogram

#: Pixels of the drawing, and of the plot's edges in it.
_WIDTH, _HEIGHT = 340, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 326, 20, 226
_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)

Point = tuple[float, float]
#: Where on an axis, 0 to 1, stands what text.
Marks = Sequence[tuple[float, str]]

_UNIT: Marks = tuple((tick, f"{tick:g}") for tick in _TICKS)


def curve(points: Sequence[Point], here: Point, x: str, y: str, name: str) -> str:
    """A curve over the unit square with the threshold's own point."""
    dot = f'<circle class="mark" cx="{_x(here[0])}" cy="{_y(here[1])}" r="5"/>'
    return _frame(_line(points, "line") + dot, x, y, name)


def histogram(scores: Histogram, threshold: float) -> str:
    """Shares of each class by score; bars stand side by side, so that neither hides the other."""
    parts = []
    bins = len(scores.normal)
    step = (_RIGHT - _LEFT) / bins
    highest = max(
        (count / sum(counts) for counts in (scores.normal, scores.anomalous) if sum(counts) for count in counts),
        default=1.0,
    )
    for side, (counts, css) in enumerate(((scores.normal, "normal"), (scores.anomalous, "anomalous"))):
        for number, count in enumerate(counts):
            if not count:
                continue
            top = _y(count / sum(counts) / highest)
            left = _LEFT + step * (number + side / 2)
            parts.append(
                f'<rect class="{css}" x="{left:.1f}" y="{top}" width="{step / 2 - 0.6:.1f}" '
                f'height="{_BOTTOM - float(top):.1f}"><title>{count}</title></rect>'
            )
    parts.append(_upright(threshold))
    marks = [(share, f"{share * highest:.0%}") for share in _TICKS]
    return _frame("".join(parts), "score", "share of the class", "Scores of the test images by class", marks)


def trade_off(errors: Sequence[tuple[float, float | None, float | None]], threshold: float) -> str:
    """Both rates against the threshold."""
    rejects = [(at, rate) for at, rate, _ in errors if rate is not None]
    misses = [(at, rate) for at, _, rate in errors if rate is not None]
    lines = _line(rejects, "line stroke1") + _line(misses, "line stroke2")
    return _frame(lines + _upright(threshold), "threshold", "rate", "False rejects and misses by threshold")


def lines(series: Sequence[tuple[str, Sequence[Point]]], threshold: float | None, x: str, name: str) -> str:
    """Up to three curves over the unit square, each with strokes of its own and its name at the key below the chart."""
    drawn = "".join(_line(points, f"line stroke{place}") for place, (_, points) in enumerate(series, 1))
    return _frame(drawn + ("" if threshold is None else _upright(threshold)), x, "share", name)


def key(names: Sequence[str], threshold: bool = False) -> str:
    """What the strokes of ``lines`` stand for."""
    marks = [(f"line stroke{place}", name) for place, name in enumerate(names, 1)]
    marks += [("threshold", "threshold")] if threshold else []
    return " ".join(f'<span class="entry">{stroke(css)}{escape(name)}</span>' for css, name in marks)


def stroke(css: str) -> str:
    """A short piece of a line, for keys."""
    return (
        f'<svg class="stroke" viewBox="0 0 34 10" aria-hidden="true"><line class="{css}" x1="1" y1="5" x2="33" y2="5"/>'
        "</svg>"
    )


def reliability(bins: Sequence[Reliability], lowest: float) -> str:
    """Share of right answers against confidence, with counts; the diagonal would be perfect."""
    ticks = (lowest, *(tick for tick in _TICKS if tick > lowest))
    across = [((tick - lowest) / (1 - lowest), f"{tick:g}") for tick in ticks]
    parts = [f'<line class="guide" x1="{_x(0)}" y1="{_y(lowest)}" x2="{_x(1)}" y2="{_y(1)}"/>']
    known: list[Point] = []
    for one in bins:
        middle = _x(((one.low + one.high) / 2 - lowest) / (1 - lowest))
        parts.append(
            f'<text class="few" x="{middle}" y="{_TOP - 8}" text-anchor="middle">{_brief(one.right.total)}</text>'
        )
        if one.confidence is None or one.right.value is None:
            continue
        at = (one.confidence - lowest) / (1 - lowest)
        parts.append(
            f'<line class="whisker" x1="{_x(at)}" y1="{_y(one.right.low)}" x2="{_x(at)}" y2="{_y(one.right.high)}"/>'
        )
        known.append((at, one.right.value))
    parts.append(_line(known, "line"))
    parts += [f'<circle class="point" cx="{_x(x)}" cy="{_y(y)}" r="4"/>' for x, y in known]
    return _frame("".join(parts), "confidence", "right answers", "Confidence against right answers", across=across)


def _brief(count: int) -> str:
    return str(count) if count < 1000 else f"{count / 1000:.2g}k" if count < 100_000 else f"{count // 1000}k"


def _frame(
    content: str,
    x: str,
    y: str,
    name: str,
    upward: Marks = _UNIT,
    across: Marks = _UNIT,
) -> str:
    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(name)}">']
    for place, text in upward:
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_RIGHT}" y1="{_y(place)}" y2="{_y(place)}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{float(_y(place)) + 4:.1f}" text-anchor="end">{text}</text>')
    for place, text in across:
        parts.append(f'<text x="{_x(place)}" y="{_BOTTOM + 16}" text-anchor="middle">{text}</text>')
    parts.append(content)
    middle = (_LEFT + _RIGHT) / 2
    parts.append(f'<text class="axis" x="{middle}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(x)}</text>')
    half = (_TOP + _BOTTOM) / 2
    parts.append(
        f'<text class="axis" transform="translate(11 {half}) rotate(-90)" text-anchor="middle">{escape(y)}</text>'
    )
    return "".join(parts) + "</svg>"


def _line(points: Sequence[Point], css: str) -> str:
    if len(points) < 2:
        return ""
    # Neighbours in the same place draw nothing.
    kept = [points[0], *(b for a, b in pairwise(points) if a != b)]
    return f'<polyline class="{css}" points="{" ".join(f"{_x(x)},{_y(y)}" for x, y in kept)}"/>'


def _upright(at: float) -> str:
    return f'<line class="threshold" x1="{_x(at)}" x2="{_x(at)}" y1="{_TOP}" y2="{_BOTTOM}"/>'


def _x(value: float) -> str:
    return f"{_LEFT + value * (_RIGHT - _LEFT):.1f}"


def _y(value: float) -> str:
    return f"{_BOTTOM - value * (_BOTTOM - _TOP):.1f}"
