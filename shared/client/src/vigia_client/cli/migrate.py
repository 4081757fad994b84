"""`vigia migrate`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vigia_client.cli.output import console, print_table
from vigia_client.environment import Environment, find
from vigia_client.lookout import lookoutvision, object_store, profile_store

if TYPE_CHECKING:
    from vigia_client.datasets.places import Place

app = typer.Typer(help="Bring in what another system left.", no_args_is_help=True)


@app.callback()
def callback() -> None:
    """So that the system's name stays a word of the command."""


@app.command("lookoutvision")
def lookoutvision_command(
    source: Annotated[str, typer.Argument(metavar="FOLDER|s3://BUCKET[/PREFIX]", help="What you kept. Never changed.")],
    project: Annotated[
        list[str] | None, typer.Option(help="The project's name here: NAME, or FOUND=NAME for one of several.")
    ] = None,
    manifest: Annotated[
        list[str] | None, typer.Option(help="Use only this manifest of the source; may be given several times.")
    ] = None,
    bucket: Annotated[str | None, typer.Option(help="Bucket for images and manifests; VIGIA_BUCKET.")] = None,
    prefix: Annotated[str, typer.Option(help="Where in that bucket.")] = "migrated",
    profile: Annotated[
        str | None, typer.Option(help="Read the source bucket with this AWS profile: its keys, region, endpoint_url.")
    ] = None,
    train: Annotated[bool, typer.Option("--train", help="Train each project, wait, and compare.")] = False,
    report: Annotated[Path, typer.Option(help="The report, as JSON.")] = Path("vigia-migration.json"),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Look and report; exit with 2 where something would be done.")
    ] = False,
) -> None:
    """Bring in datasets of Amazon Lookout for Vision: manifests, images, masks, evaluation files.

    May be ended at any time and run again: what is there already stays as it is.
    """
    # The code that decodes images takes long to load; no other command needs it.
    from vigia_client.datasets.delivery import Target
    from vigia_client.datasets.places import join
    from vigia_client.migration import run
    from vigia_client.migration.discovery import discover
    from vigia_client.migration.report import ReportFile

    environment = find()
    target = Target(object_store(environment), bucket or environment.need("VIGIA_BUCKET"), _prefix(prefix))
    place = _place(source, target.bucket, target.prefix, profile, environment)
    _outside(report, source)
    target.require()
    with console.status("looking for datasets") as status:
        found = discover(place, [join(place.root, name.strip("/")) for name in manifest or []])
        if not found.projects:
            raise run.MigrationError(f"{source} has no manifest with images, and no folders named normal and anomaly")
        names = run.project_names(found, project or [])
        before = run.read_evaluations(place, found)
        head = {
            "source": str(place),
            "target": f"s3://{target.bucket}/{target.prefix}",
            "started_at": datetime.now(UTC).isoformat(),
            "dry_run": dry_run,
        }
        migration = run.Migration(place, lookoutvision(environment), target, status.update, dry_run, train)
        reports = []
        with ReportFile(report, head) as file:
            for told in migration.run(found, names, before):
                file.add(told)
                reports.append(told)
            known = {name for told in reports for name in (told.project, told.found_as)}
            elsewhere = [figures.file for figures in before if figures.project not in known]
            file.finish(
                {
                    "images_in_source": found.images,
                    "skipped": [{"path": path, "why": why} for path, why in found.skipped],
                    "evaluations_of_no_project": elsewhere,
                    "finished_at": datetime.now(UTC).isoformat(),
                }
            )
    _show(reports, [*found.skipped, *((path, "an evaluation of no project here") for path in elsewhere)])
    console.print(f"all of it, image by image: {report}", highlight=False, soft_wrap=True)
    if any(told.failed for told in reports):
        raise typer.Exit(1)
    if dry_run and any(told.due for told in reports):
        raise typer.Exit(2)


def _show(reports: list[Any], skipped: list[tuple[str, str]]) -> None:
    from vigia_client.migration import report as tables

    print_table(tables.DATASET_TITLES, tables.dataset_rows(reports), "nothing")
    if rows := tables.remark_rows(reports):
        console.print()
        print_table(tables.REMARK_TITLES, rows, "")
    if rows := tables.figure_rows(reports):
        console.print()
        print_table(tables.FIGURE_TITLES, rows, "")
    if skipped:
        console.print()
        print_table(("NOT USED", "WHY"), skipped, "")


def _place(source: str, bucket: str, prefix: str, profile: str | None, environment: Environment) -> Place:
    from vigia_client.datasets.places import Bucket, Folder, split

    if not source.startswith("s3://"):
        folder = Path(source)
        if profile is not None:
            raise typer.BadParameter("--profile is for a source in a bucket")
        if not folder.is_dir():
            raise typer.BadParameter(f"{source} is no folder")
        return Folder(folder)
    parts = split(source) or (source.removeprefix("s3://").strip("/"), "")
    if profile is not None:
        return Bucket(profile_store(profile), *parts)
    if parts[0] == bucket and not prefix:
        raise typer.BadParameter("the source's own bucket needs a --prefix to bring things to")
    if parts[0] == bucket and f"{parts[1].strip('/')}/".startswith(prefix):
        raise typer.BadParameter(f"{source} is what a migration made")
    without = prefix if parts[0] == bucket else None
    return Bucket(object_store(environment), *parts, without=without)


def _prefix(text: str) -> str:
    """Ends in a slash, or is empty."""
    plain = text.strip("/")
    if any(not (c.isascii() and (c.isalnum() or c in "!_.*'()-/")) for c in plain):
        raise typer.BadParameter("--prefix: letters, digits, / and !_.*'()- only")
    return f"{plain}/" if plain else ""


def _outside(report: Path, source: str) -> None:
    """The source stays as it is, so the report lies elsewhere."""
    if not source.startswith("s3://") and report.resolve().is_relative_to(Path(source).resolve()):
        raise typer.BadParameter(f"{report} is in {source}, where nothing is written: give --report another place")
