"""How answers look: tables for people, JSON lines for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

console = Console()
#: No table is wider, in characters.
_WIDEST = 10_000

#: For every command that lists.
AsJson = Annotated[bool, typer.Option("--json", help="JSON, one object a line, instead of a table.")]

VERDICT_STYLES = {"PASS": "green", "REJECT": "red", "REVIEW": "yellow", "INVALID": "magenta"}


def print_json(rows: Iterable[Any]) -> None:
    """One JSON object a line."""
    for row in rows:
        typer.echo(json.dumps(row, ensure_ascii=False))


def print_table(titles: Sequence[str], rows: Iterable[Sequence[object]], empty: str) -> None:
    """A table; ``empty`` when there is nothing to show."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in titles:
        table.add_column(title, no_wrap=True)
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(_printable(cell)) for cell in row))
    if not table.row_count:
        console.print(empty)
        return
    # As wide as it is: a cut part or address would be useless, and a terminal breaks long lines by itself.
    Console(width=_WIDEST).print(table)


def _printable(cell: object) -> str:
    """As text of one line that any terminal takes: names of files may be no text at all."""
    text = "" if cell is None else str(cell)
    shown = text.encode("utf-8", "backslashreplace").decode()
    return shown if shown.isprintable() else shown.encode("unicode_escape").decode()


def moment(text: str | None) -> datetime | None:
    """An ISO 8601 time in this machine's zone."""
    return None if text is None else datetime.fromisoformat(text).astimezone()


def clock(text: str | None) -> str:
    """A time to the millisecond, with its date."""
    time = moment(text)
    return "" if time is None else time.strftime("%Y-%m-%d %H:%M:%S.") + f"{time.microsecond // 1000:03d}"


def verdict(text: str) -> Text:
    """A verdict in its colour."""
    return Text(text, VERDICT_STYLES.get(text, ""))
