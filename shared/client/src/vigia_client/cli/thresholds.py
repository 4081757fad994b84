"""`vigia thresholds`."""

from __future__ import annotations

from itertools import islice
from typing import Annotated, Any

import typer

from vigia_client.api import Json, Vigia
from vigia_client.cli.history import Camera, Line, Product, Since, Until
from vigia_client.cli.output import AsJson, clock, console, print_json, print_table, verdict

app = typer.Typer(help="From which score on parts are rejected, who said so, and why.", no_args_is_help=True)
Project = Annotated[str, typer.Argument(metavar="PROJECT", help="Whose model.")]
Version = Annotated[str, typer.Argument(metavar="VERSION", help="The version's number.")]
Value = Annotated[float, typer.Argument(metavar="THRESHOLD", help="Score from which a part is anomalous.")]
Low = Annotated[float | None, typer.Option(help="Scores from here to below --review-high are REVIEW.")]
High = Annotated[float | None, typer.Option(help="End of the review band.")]

_RATES = ("FALSE REJECTS", "MISSES", "TO REVIEW (NORMAL)", "TO REVIEW (ANOMALOUS)")
_TITLES = ("NUMBER", "THRESHOLD", "REVIEW", *_RATES[:2], "CREATED", "AUTHOR", "REASON")


@app.command("list")
def index(
    project: Project,
    version: Version,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many at most.")] = 50,
    json: AsJson = False,
) -> None:
    """Show a version's threshold records, newest first: the first line decides."""
    with Vigia.of() as vigia:
        rows = list(islice(vigia.thresholds(project, version), limit))
    if json:
        print_json(rows)
    else:
        print_table(_TITLES, map(_cells, rows), "no threshold records")


@app.command("preview")
def preview(
    project: Project,
    version: Version,
    value: Value,
    review_low: Low = None,
    review_high: High = None,
    json: AsJson = False,
) -> None:
    """Show what a threshold would do to the images that the version was tested on. Changes nothing."""
    with Vigia.of() as vigia:
        found = vigia.preview_threshold(project, version, value, review_low=review_low, review_high=review_high)
    if json:
        print_json([found])
        return
    predicted = found["predicted"]
    if predicted is None:
        _say(f"nothing can be predicted: {found['unpredicted']}")
        return
    names = ("false_rejects", "misses", "reviewed_normal", "reviewed_anomalous")
    shown = (_rate(title, predicted[name]) for title, name in zip(_RATES, names, strict=True))
    print_table(("", "RATE", "95 % INTERVAL", "IMAGES"), shown, "")


@app.command("set")
def change(
    project: Project,
    version: Version,
    value: Value,
    reason: Annotated[str, typer.Option(prompt="Why", help="Kept with the record; asked for where it is not given.")],
    review_low: Low = None,
    review_high: High = None,
    replaces: Annotated[
        int | None,
        typer.Option(min=1, help="Only if this record is still the newest one; without it, whichever is now."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Decide by another threshold from now on. Nothing is trained again."""
    with Vigia.of() as vigia:
        seen = replaces or next(vigia.thresholds(project, version))["number"]
        made = vigia.change_threshold(
            project, version, value, replaces=seen, reason=reason, review_low=review_low, review_high=review_high
        )
    if json:
        print_json([made])
    else:
        print_table(_TITLES, [_cells(made)], "")


@app.command("replay")
def replay(
    project: Project,
    version: Version,
    value: Value,
    review_low: Low = None,
    review_high: High = None,
    last: Annotated[
        int, typer.Option("--last", "-n", min=1, max=100_000, help="How many inspections, the newest ones.")
    ] = 1000,
    line: Line = None,
    camera: Camera = None,
    product: Product = None,
    since: Since = None,
    until: Until = None,
    json: AsJson = False,
) -> None:
    """Show what a threshold would have made of the last parts that the version judged. Changes nothing."""
    with Vigia.of() as vigia:
        found = vigia.replay(
            project,
            version,
            value,
            review_low=review_low,
            review_high=review_high,
            last=last,
            line=line,
            camera=camera,
            product=product,
            from_=since,
            to=until,
        )
    if json:
        print_json([found])
        return
    left = found["left_out"]
    _say(
        f"{found['inspections']} inspections, {clock(found['oldest'])[:19]} to {clock(found['newest'])[:19]}; "
        f"left out: {left['INVALID']} INVALID, {left['unscored']} without a score"
    )
    print_table(
        ("", "PASS", "REJECT", "REVIEW", "REJECT RATE", "REVIEW RATE"),
        (_verdicts(name, found[name]) for name in ("before", "after")),
        "",
    )
    if not found["changed"]:
        _say("no verdict would have been another")
        return
    _say(", ".join(f"{row['before']} to {row['after']}: {row['count']}" for row in found["changes"]))
    shown = (
        (row["inspection_id"], clock(row["captured_at"]), f"{row['score']:.4g}", *map(verdict, _both(row)))
        for row in found["items"]
    )
    print_table(("INSPECTION", "CAPTURED", "SCORE", "BEFORE", "AFTER"), shown, "")


def _both(row: Json) -> tuple[str, str]:
    return row["before"], row["after"]


def _say(text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _cells(row: Json) -> tuple[object, ...]:
    low, predicted = row["review_low"], row["predicted"] or {}
    return (
        row["number"],
        f"{row['value']:.4g}",
        None if low is None else f"{low:.4g} to {row['review_high']:.4g}",
        *(_short(predicted.get(name)) for name in ("false_rejects", "misses")),
        clock(row["created_at"])[:16],
        row["author"],
        row["reason"],
    )


def _short(rate: Json | None) -> str:
    return "" if rate is None else f"{rate['rate']:.2%} ({rate['low']:.2%} to {rate['high']:.2%})"


def _rate(title: str, rate: Json | None) -> tuple[object, ...]:
    if rate is None:
        return title, "", "", "none of the class"
    return title, f"{rate['rate']:.2%}", f"{rate['low']:.2%} to {rate['high']:.2%}", f"{rate['count']} of {rate['of']}"


def _verdicts(name: str, row: dict[str, Any]) -> tuple[object, ...]:
    shares = (row["reject_rate"], row["review_rate"])
    return name, row["PASS"], row["REJECT"], row["REVIEW"], *("" if s is None else f"{s:.2%}" for s in shares)
