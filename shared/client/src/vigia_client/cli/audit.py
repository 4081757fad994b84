"""`vigia audit`."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

import typer

from vigia_client.api import Json, Vigia
from vigia_client.cli.output import AsJson, clock, print_json, print_table
from vigia_contracts.audit import CallOutcome

_TITLES = ("CALLED", "CALL", "USER", "ON", "OUTCOME", "FROM", "TOOK")


def audit(
    name: Annotated[str | None, typer.Option(help="Only this operation, as DeleteModel.")] = None,
    user: Annotated[str | None, typer.Option(help="Only by this user.")] = None,
    access_key: Annotated[str | None, typer.Option(help="Only with this access key id.")] = None,
    source: Annotated[
        str | None, typer.Option(help="Only of lookoutvision.amazonaws.com, or of vigia, its own API.")
    ] = None,
    resource: Annotated[
        str | None, typer.Option(help="Only on this: a project, PROJECT/VERSION, a camera or line.")
    ] = None,
    outcome: Annotated[CallOutcome | None, typer.Option(help="Only with this outcome.")] = None,
    changes: Annotated[bool, typer.Option("--changes", help="Only calls that change something.")] = False,
    since: Annotated[str | None, typer.Option("--from", help="Called at or after: ISO 8601 with a zone.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="Called before: ISO 8601 with a zone.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many at most.")] = 50,
    json: AsJson = False,
) -> None:
    """Show who called what, newest first."""
    with Vigia.of() as vigia:
        found = vigia.audit(
            name=name,
            user=user,
            access_key=access_key,
            source=source,
            resource=resource,
            outcome=outcome.value if outcome else None,
            read_only=False if changes else None,
            from_=since,
            to=until,
            limit=min(limit, 200),
        )
        rows = list(islice(found, limit))
    if json:
        print_json(rows)
    else:
        print_table(_TITLES, map(_cells, rows), "no calls")


def _cells(row: Json) -> tuple[object, ...]:
    record = row["record"]
    given = record.get("requestParameters") or {}
    named = [given.get(key) for key in ("projectName", "modelVersion", "datasetType", "camera_id", "line_id")]
    return (
        clock(row["called_at"]),
        row["name"],
        row["username"],
        "/".join(str(part) for part in named if part),
        row["error_code"] or row["outcome"],
        record.get("sourceIPAddress"),
        f"{row['duration_ms']:.0f} ms",
    )
