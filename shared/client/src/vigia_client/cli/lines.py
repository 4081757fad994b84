"""`vigia lines`."""

from __future__ import annotations

from typing import Annotated

import typer

from vigia_client.api import Vigia
from vigia_client.cli.output import AsJson, clock, console, print_json, print_table

app = typer.Typer(help="The factory's lines.", no_args_is_help=True)
LineId = Annotated[str, typer.Argument(metavar="LINE")]


@app.command("add")
def add(line: LineId, description: Annotated[str, typer.Option(help="What it makes.")] = "") -> None:
    """Create a line."""
    with Vigia.of() as vigia:
        vigia.add_line(line, description)
    console.print(f"line {line} created")


@app.command("list")
def index(json: AsJson = False) -> None:
    """Show all lines."""
    with Vigia.of() as vigia:
        rows = list(vigia.lines())
    if json:
        print_json(rows)
        return
    shown = [(row["line_id"], row["description"], clock(row["created_at"])) for row in rows]
    print_table(("LINE", "DESCRIPTION", "CREATED"), shown, "no lines yet: vigia lines add LINE")


@app.command("rm")
def remove(line: LineId) -> None:
    """Delete a line that has no cameras."""
    with Vigia.of() as vigia:
        vigia.remove_line(line)
    console.print(f"line {line} deleted")
