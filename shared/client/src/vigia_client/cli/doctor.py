"""`vigia doctor`."""

from __future__ import annotations

import typer
from rich.markup import escape

from vigia_client import checks
from vigia_client.cli.output import console
from vigia_client.environment import find

_MARKS = {
    checks.State.OK: "[green]ok     [/]",
    checks.State.WARNING: "[yellow]warning[/]",
    checks.State.FAILED: "[red]failed [/]",
}


def doctor() -> None:
    """Knock on every door, and say what to do where nobody answers. Exits 1 when one failed."""
    environment = find()
    console.print(f"settings from {environment.origin}", highlight=False)
    failed = False
    for finding in checks.run(environment):
        failed = failed or finding.state is checks.State.FAILED
        console.print(
            f"{_MARKS[finding.state]} {finding.door:<14} {escape(finding.detail)}", highlight=False, soft_wrap=True
        )
        if finding.advice and finding.state is not checks.State.OK:
            console.print(f"{'':>22} → {escape(finding.advice)}", highlight=False, soft_wrap=True)
    if failed:
        raise typer.Exit(1)
