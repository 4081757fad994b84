"""`vigia inspections`, `vigia trends`, `vigia faults`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from enum import StrEnum
from itertools import islice
from typing import Annotated, Any

import typer
from rich.text import Text

from vigia_client.api import Json, Vigia
from vigia_client.cli.output import AsJson, clock, console, moment, print_json, print_table, verdict
from vigia_contracts.inspections import Verdict

Line = Annotated[str | None, typer.Option(help="Only of this line.")]
Camera = Annotated[str | None, typer.Option(help="Only of this camera.")]
Product = Annotated[str | None, typer.Option(help="Only of this product.")]
Project = Annotated[str | None, typer.Option(help="Only judged by this project's models.")]
Version = Annotated[str | None, typer.Option(help="Only judged by this model version.")]
Since = Annotated[str | None, typer.Option("--from", help="Captured at or after: ISO 8601 with a zone.")]
Until = Annotated[str | None, typer.Option("--to", help="Captured before: ISO 8601 with a zone.")]

_TITLES = ("CAPTURED", "CAMERA", "PART", "VERDICT", "SCORE", "THRESHOLD", "LATENCY", "WHAT")


class Bucket(StrEnum):
    """Width of a trend's points."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"


class Group(StrEnum):
    """What a trend is split by."""

    LINE = "line"
    CAMERA = "camera"
    PRODUCT = "product"
    MODEL_VERSION = "model_version"


def inspections(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show them as they come, until interrupted.")] = False,
    line: Line = None,
    camera: Camera = None,
    product: Product = None,
    project: Project = None,
    model_version: Version = None,
    verdict: Annotated[Verdict | None, typer.Option(help="Only with this verdict.", case_sensitive=False)] = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many at most.")] = 50,
    json: AsJson = False,
) -> None:
    """Show what was decided, newest first; with --follow as it comes."""
    filters: dict[str, Any] = {
        "line": line,
        "camera": camera,
        "product": product,
        "project": project,
        "model_version": model_version,
        "verdict": verdict,
        "from_": since,
        "to": until,
    }
    with Vigia.of() as vigia:
        if follow:
            _follow(vigia.follow(**filters), json)
            return
        rows = list(islice(vigia.inspections(**filters, limit=min(limit, 200)), limit))
    if json:
        print_json(rows)
    else:
        print_table(_TITLES, map(_cells, rows), "no inspections")


def trends(
    bucket: Annotated[Bucket, typer.Option(help="Width of a point.")] = Bucket.HOUR,
    group_by: Annotated[Group | None, typer.Option(help="A row for each.")] = None,
    line: Line = None,
    camera: Camera = None,
    product: Product = None,
    project: Project = None,
    model_version: Version = None,
    since: Since = None,
    until: Until = None,
    json: AsJson = False,
) -> None:
    """Show counts by verdict and the defect rate over time."""
    with Vigia.of() as vigia:
        trend = vigia.trends(
            bucket=bucket.value,
            group_by=group_by.value if group_by else None,
            line=line,
            camera=camera,
            product=product,
            project=project,
            model_version=model_version,
            from_=since,
            to=until,
        )
    if json:
        print_json(trend["points"])
        return
    titles = ("FROM", *([group_by.value.upper()] if group_by else []), *Verdict, "TOTAL", "DEFECT RATE")
    print_table(titles, (_point(point, group_by is not None) for point in trend["points"]), "no inspections")


def faults(
    line: Line = None,
    camera: Camera = None,
    is_open: Annotated[bool, typer.Option("--open", help="Only those that last.")] = False,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many at most.")] = 50,
    json: AsJson = False,
) -> None:
    """Show when nobody looked: blind cameras, dropped and expired frames."""
    with Vigia.of() as vigia:
        found = vigia.faults(line=line, camera=camera, open=True if is_open else None, from_=since, to=until)
        rows = list(islice(found, limit))
    if json:
        print_json(rows)
        return
    shown = [
        (
            clock(row["started_at"]),
            clock(row["ended_at"]) or "lasts",
            row["camera_id"],
            row["kind"],
            row["cause"],
            row["count"] or None,
            row["detail"],
        )
        for row in rows
    ]
    print_table(("FROM", "TO", "CAMERA", "KIND", "CAUSE", "FRAMES", "DETAIL"), shown, "no faults")


def _follow(rows: Iterator[Json], json: bool) -> None:
    if json:
        print_json(rows)
        return
    widths = (23, 16, 16, 7, 9, 9, 8)
    titles = [title.ljust(width) for title, width in zip(_TITLES, (*widths, 0), strict=True)]
    console.print("  ".join(titles), style="bold", soft_wrap=True)
    for row in rows:
        text = Text()
        for cell, width in zip(_cells(row), (*widths, 0), strict=True):
            shown = cell if isinstance(cell, Text) else Text("" if cell is None else str(cell))
            shown.pad_right(max(0, width - len(shown)) + 2)
            text.append_text(shown)
        console.print(text, soft_wrap=True)


def _cells(row: Json) -> tuple[object, ...]:
    captured, decided = moment(row["captured_at"]), moment(row["decided_at"])
    latency = None if captured is None or decided is None else (decided - captured) / timedelta(milliseconds=1)
    what = row.get("cause") or ", ".join(f"{label['name']} {label['area']:.2%}" for label in row.get("labels") or [])
    return (
        clock(row["captured_at"]),
        row.get("camera_id") or row.get("model_arn"),
        row.get("part_id"),
        verdict(row["verdict"]),
        _number(row.get("score")),
        _number(row.get("threshold")),
        None if latency is None else f"{latency:.0f} ms",
        what,
    )


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.4g}"


def _point(point: Json, grouped: bool) -> tuple[object, ...]:
    rate = point["defect_rate"]
    return (
        clock(point["start"])[:16],
        *([point["group"] or "-"] if grouped else []),
        *(point["counts"][name] for name in Verdict),
        point["total"],
        "" if rate is None else f"{rate:.2%}",
    )
