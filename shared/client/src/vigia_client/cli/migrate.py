"""`vigia migrate`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vigia_client.cli.output import console, print_table
from vigia_client.environment import Environment, find
from vigia_client.errors import ActionableError
from vigia_client.lookout import lookoutvision, object_store, of_profile, rekognition

if TYPE_CHECKING:
    from vigia_client.datasets.delivery import Target
    from vigia_client.datasets.places import Place
    from vigia_client.migration.discovery import Discovery
    from vigia_client.migration.evaluation import Figures
    from vigia_client.migration.report import ProjectReport
    from vigia_client.migration.service import Rules, Service

app = typer.Typer(help="Bring in what another system left.", no_args_is_help=True)


@app.callback()
def callback() -> None:
    """So that the system's name stays a word of the command."""


Project = Annotated[
    list[str] | None, typer.Option(help="The project's name here: NAME, or FOUND=NAME for one of several.")
]
Manifest = Annotated[
    list[str] | None, typer.Option(help="Use only this manifest of the source; may be given several times.")
]
TargetBucket = Annotated[str | None, typer.Option(help="Bucket for images and manifests; VIGIA_BUCKET.")]
Prefix = Annotated[str, typer.Option(help="Where in that bucket.")]
Train = Annotated[bool, typer.Option("--train", help="Train each project, wait, and compare.")]
Report = Annotated[Path, typer.Option(help="The report, as JSON.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Look and report; exit with 2 where something would be done.")]

#: The source that is no place but an account.
_ACCOUNT = "account"


@app.command("lookoutvision")
def lookoutvision_command(
    source: Annotated[str, typer.Argument(metavar="FOLDER|s3://BUCKET[/PREFIX]", help="What you kept. Never changed.")],
    project: Project = None,
    manifest: Manifest = None,
    bucket: TargetBucket = None,
    prefix: Prefix = "migrated",
    profile: Annotated[
        str | None, typer.Option(help="Read the source bucket with this AWS profile: its keys, region, endpoint_url.")
    ] = None,
    train: Train = False,
    report: Report = Path("vigia-migration.json"),
    dry_run: DryRun = False,
) -> None:
    """Bring in datasets of Amazon Lookout for Vision: manifests, images, masks, evaluation files.

    May be ended at any time and run again: what is there already stays as it is.
    """
    # The code that decodes images takes long to load; no other command needs it.
    from vigia_client.migration.lookoutvision import LookoutVision

    environment = find()
    target = _target(environment, bucket, prefix)
    place = _place(source, target.bucket, target.prefix, profile, environment)
    _outside(report, source)
    target.require()
    service = LookoutVision(lookoutvision(environment))
    found, before = _look(place, service.rules, manifest or [])
    if not found.projects:
        raise ActionableError(f"{source} has no manifest with images, and no folders named normal and anomaly")
    _run(service, place, found, before, target, project or [], report, dry_run, train)


@app.command("customlabels")
def customlabels_command(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER|s3://BUCKET[/PREFIX]|account", help="What you kept, or a live account. Never changed."
        ),
    ],
    project: Project = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Of an account, this project only; may be given several times.")
    ] = None,
    manifest: Manifest = None,
    bucket: TargetBucket = None,
    prefix: Prefix = "migrated",
    profile: Annotated[
        str | None, typer.Option(help="Read bucket or account with this AWS profile: its keys, region, endpoint_url.")
    ] = None,
    train: Train = False,
    report: Report = Path("vigia-migration.json"),
    dry_run: DryRun = False,
) -> None:
    """Bring in Amazon Rekognition Custom Labels: from manifests, images and evaluation files, or from a live account.

    Of an account come projects, datasets, tags, policies, and the files of trained versions; weights cannot be had.
    May be ended at any time and run again: what is there already stays as it is.
    """
    from vigia_client.migration.account import Account, Buckets, Move
    from vigia_client.migration.customlabels import CustomLabels

    environment = find()
    target = _target(environment, bucket, prefix)
    client = rekognition(environment)
    service = CustomLabels(client)
    if source != _ACCOUNT:
        if only:
            raise typer.BadParameter("--only is for an account; a manifest is chosen with --manifest")
        place = _place(source, target.bucket, target.prefix, profile, environment)
        _outside(report, source)
        target.require()
        found, before = _look(place, service.rules, manifest or [])
        if not found.projects:
            raise ActionableError(f"{source} has no manifest with images")
        _run(service, place, found, before, target, project or [], report, dry_run, train)
        return
    if profile is None or manifest:
        raise typer.BadParameter("an account is read with --profile, and has datasets instead of manifests")
    target.require()
    account = Account(of_profile(profile, "rekognition"), of_profile(profile, "s3"))
    with console.status("listing projects"):
        found = account.discover(only or [])
    if not found.projects:
        raise ActionableError(f"the account of profile {profile} has no project of Custom Labels in its region")
    place = Buckets(account.s3)
    move = Move(account, client, target, lambda _: None, dry_run)
    _run(service, place, found, [], target, project or [], report, dry_run, train, move)


def _target(environment: Environment, bucket: str | None, prefix: str) -> Target:
    from vigia_client.datasets.delivery import Target

    return Target(object_store(environment), bucket or environment.need("VIGIA_BUCKET"), _prefix(prefix))


def _look(place: Place, rules: Rules, manifests: list[str]) -> tuple[Discovery, list[Figures]]:
    """What the place has, and what its evaluation files say."""
    from vigia_client.datasets.places import join
    from vigia_client.migration.discovery import discover
    from vigia_client.migration.run import read_evaluations

    with console.status("looking for datasets"):
        found = discover(place, rules, [join(place.root, name.strip("/")) for name in manifests])
        return found, read_evaluations(place, found, rules)


def _run(
    service: Service,
    place: Place,
    found: Discovery,
    before: list[Figures],
    target: Target,
    projects: list[str],
    report: Path,
    dry_run: bool,
    train: bool,
    beside: Callable[[ProjectReport], None] = lambda _: None,
) -> None:
    """Bring in what was found, write the report and show it; exits with 1 where something failed."""
    from vigia_client.migration import run
    from vigia_client.migration.report import ReportFile

    names = run.project_names(found, projects, service.rules)
    head = {
        "source": str(place),
        "target": f"s3://{target.bucket}/{target.prefix}",
        "started_at": datetime.now(UTC).isoformat(),
        "dry_run": dry_run,
    }
    reports: list[ProjectReport] = []
    with console.status("looking at images") as status, ReportFile(report, head) as file:
        migration = run.Migration(place, service, target, status.update, dry_run, train, beside)
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
    _show(reports, [*found.skipped, *((path, "an evaluation of no project here") for path in elsewhere)], service.rules)
    console.print(f"all of it, image by image: {report}", highlight=False, soft_wrap=True)
    if any(told.failed for told in reports):
        raise typer.Exit(1)
    if dry_run and any(told.due for told in reports):
        raise typer.Exit(2)


def _show(reports: list[ProjectReport], skipped: list[tuple[str, str]], rules: Rules) -> None:
    from vigia_client.migration import report as tables

    print_table(tables.dataset_titles(rules.counted), tables.dataset_rows(reports, rules.counted), "nothing")
    for titles, rows in (
        (tables.REMARK_TITLES, tables.remark_rows(reports)),
        (tables.BESIDE_TITLES, tables.beside_rows(reports)),
        (tables.figure_titles(rules.of_labels), tables.figure_rows(reports)),
        (("NOT USED", "WHY"), skipped),
    ):
        if rows:
            console.print()
            print_table(titles, rows, "")


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
        return Bucket(of_profile(profile, "s3"), *parts)
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
