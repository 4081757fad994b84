"""What the pages of reports are made of. Every text that comes from customers passes ``escape``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from vigia_training.app.report_style import STYLE
from vigia_training.domain.intervals import Estimate, Rate
from vigia_training.domain.suspicions import DataWarning

_POLICY: Final = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
#: A blank at which no line is broken.
_HARD: Final = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """The report for people and for programs."""

    html: bytes
    json: bytes


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure that comes first: its name, value, interval and meaning."""

    name: str
    value: str
    span: str
    meaning: str


def document(title: str, sections: Iterable[str]) -> bytes:
    """A whole page, which forbids itself all but its own style and pictures."""
    parts = [
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>",
        *sections,
        "</main></body></html>\n",
    ]
    return "".join(parts).encode("utf-8", "replace")


def header(project: str, version: str, about: str, caution: str, tiles: Iterable[Tile]) -> str:
    """Whose report this is, and its main figures. ``about`` and ``caution`` are HTML already."""
    cells = "".join(
        f'<div class="tile"><h3>{one.name}</h3><p class="big">{one.value}</p><p>{one.span}</p>'
        f'<p class="quiet">{one.meaning}</p></div>'
        for one in tiles
    )
    return (
        f"<header><h1>{escape(project)} <small>version {escape(version)}</small></h1>"
        f'<p>{about}</p><p class="quiet">Ranges are 95 % intervals: where the truth may lie, as so few images were '
        f"measured. {caution} They hold for parts like those tested, and for nothing else.</p></header>"
        f'<section class="tiles">{cells}</section>'
    )


def moment(evaluated_at: str) -> str:
    """The minute of an ISO time, for people."""
    return f"{escape(evaluated_at[:16].replace('T', ' '))} UTC"


def warnings_section(warnings: Sequence[DataWarning]) -> str:
    """What makes the figures doubtful."""
    if not warnings:
        return "<section><h2>Data</h2><p>Nothing was found that makes these figures doubtful.</p></section>"
    items = []
    for warning in warnings:
        names = "".join(f"<li>{escape(uri)}</li>" for uri in warning.images)
        more = warning.count - len(warning.images)
        rest = f"<li>and {more} more</li>" if warning.images and more else ""
        listed = f"<details><summary>images: {warning.count}</summary><ul>{names}{rest}</ul></details>" if names else ""
        items.append(f'<li class="warning {warning.kind}">{escape(warning.message)}{listed}</li>')
    return f'<section><h2>Data: before you trust the figures</h2><ul class="warnings">{"".join(items)}</ul></section>'


def provenance_section(provenance: Mapping[str, str]) -> str:
    """What made the version."""
    rows = [(escape(key), f'<span class="uri">{escape(value)}</span>') for key, value in provenance.items()]
    return f"<section><h2>Where it comes from</h2>{table(('', ''), rows, 'plain')}</section>"


def figure(chart: str, name: str, text: str) -> str:
    """A chart under its name."""
    return f"<figure><figcaption><b>{name}</b><br>{text}</figcaption>{chart}</figure>"


def table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], css: str = "", marks: Sequence[str] | None = None
) -> str:
    """Cells are HTML already; the first of each row is its heading."""
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    body = []
    for place, (first, *rest) in enumerate(rows):
        mark = f' class="{marks[place]}"' if marks and marks[place] else ""
        cells = "".join(f"<td>{cell}</td>" for cell in rest)
        body.append(f'<tr{mark}><th scope="row">{first}</th>{cells}</tr>')
    above = f"<thead><tr>{head}</tr></thead>" if any(heads) else ""
    return f'<div class="scroll"><table class="{css}">{above}<tbody>{"".join(body)}</tbody></table></div>'


def swatch(color: str) -> str:
    """A patch of a label's colour."""
    return f'<span class="swatch" style="background:{escape(color)}"></span>'


def count(rate: Rate) -> str:
    """Both numbers of a rate, on one line."""
    return f"{rate.count} of {rate.total}".replace(" ", _HARD)


def span(found: Estimate | Rate) -> str:
    """The interval, on one line; as percentages for rates."""
    if found.low is None or found.high is None:
        return "too few images"
    if isinstance(found, Rate) and not found.total:
        return "unknown"
    form = ".1%" if isinstance(found, Rate) else ".3f"
    return f"{found.low:{form}} to {found.high:{form}}".replace(" ", _HARD)


def percent(value: float | None) -> str:
    """A share as a percentage."""
    return "–" if value is None else f"{value:.1%}"


def number(value: float | None) -> str:
    """A figure to three places."""
    return "–" if value is None else f"{value:.3f}"


def share(value: float) -> str:
    """A share as a percentage of as many places as it needs."""
    return f"{100 * value:g} %"


def threshold_text(value: float) -> str:
    """A threshold to four places, without zeros that say nothing."""
    return f"{value:.4f}".rstrip("0").rstrip(".")
