"""`vigia apply`."""

from __future__ import annotations

import json as jsonlib
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from vigia_client.api import Vigia
from vigia_client.cli.output import AsJson, console, print_json
from vigia_client.environment import Environment, find
from vigia_client.lookout import lookoutvision, object_store, rekognition, sts

if TYPE_CHECKING:
    from vigia_client.provisioning.changes import Change, Result
    from vigia_client.provisioning.spec import Spec

_MARKS = {"create": ("+", "green"), "change": ("~", "yellow"), "delete": ("-", "red"), "none": (" ", "dim")}
_ACCESS = ("users", "roles", "policies")
_SCOPES = "projects, datasets, lines, cameras, cameras/LINE, users, roles or policies"


def apply(
    file: Annotated[
        list[Path], typer.Option("--file", "-f", exists=True, dir_okay=False, help="What there should be; several.")
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be done; exit with 2 where something is due, else 0.")
    ] = False,
    prune: Annotated[
        list[str] | None,
        typer.Option(help=f"Delete what is not declared: {_SCOPES}. Without this nothing is ever deleted."),
    ] = None,
    parameter: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE of a CloudFormation template; may be given several times.")
    ] = None,
    bucket: Annotated[str | None, typer.Option(help="Bucket for images of this machine; VIGIA_BUCKET.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask, at a terminal either.")] = False,
    json: AsJson = False,
) -> None:
    """Make projects, datasets, lines, cameras, users and policies as files declare them.

    Everything is checked before the first change. Run again after a failure: it goes on with what is left.
    """
    # The code that decodes images takes long to load; no other command needs it.
    from vigia_client.provisioning.changes import Outcome, make_all
    from vigia_client.provisioning.spec import read_files

    environment = find()
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or ""
    spec = read_files(file, os.environ, _parameters(parameter or []), region)
    if not json:
        for problem in spec.left:
            console.print(str(problem), style="dim", highlight=False, markup=False, soft_wrap=True)
    with Vigia.of(environment) as vigia, console.status("looking") as status:
        changes = list(_plan(environment, vigia, spec, bucket, prune or [], status.update))
        due = [change for change in changes if change.act.value != "none"]
        if dry_run:
            _show(changes, json)
            raise typer.Exit(2 if due else 0)
        if not json:
            _show(changes, json)
        status.stop()
        if due and not yes and sys.stdin.isatty() and not typer.confirm("make these changes?"):
            raise typer.Exit(1)
        status.start()
        results = make_all(changes, spec.hide, lambda result: _tell(result, json))
    outcomes = Counter(result.outcome for result in results)
    if not json:
        console.print(", ".join(f"{outcomes[outcome]} {outcome.value}" for outcome in Outcome if outcomes[outcome]))
    if outcomes[Outcome.FAILED] or outcomes[Outcome.NOT_TRIED]:
        raise typer.Exit(1)


def _plan(
    environment: Environment, vigia: Vigia, spec: Spec, bucket: str | None, prune: list[str], say: Any
) -> Iterator[Change]:
    """Every change in the order in which it is made, once nothing is wrong; FileError."""
    from vigia_client.datasets.delivery import Target
    from vigia_client.provisioning.access import Access
    from vigia_client.provisioning.documents import FileError
    from vigia_client.provisioning.labels import label_changes
    from vigia_client.provisioning.projects import Projects
    from vigia_client.provisioning.stations import Stations

    for scope in prune:
        if scope.partition("/")[0] not in ("projects", "datasets", "lines", "cameras", *_ACCESS) or (
            "/" in scope and not scope.startswith("cameras/")
        ):
            raise typer.BadParameter(f"--prune {scope}: {_SCOPES}")
        # Files that are about something else do not mean that nobody should get in.
        if scope in _ACCESS and not getattr(spec, scope):
            raise typer.BadParameter(f"--prune {scope}: no {scope} are declared")
    store = object_store(environment) if any(project.value.datasets for project in spec.projects.values()) else None
    name = bucket or environment.get("VIGIA_BUCKET")
    target = None if name is None or store is None else Target(store, name, "datasets/")
    projects = Projects(lookoutvision(environment), target, store, spec, say)
    stations = Stations(vigia, spec)
    access = Access(vigia, spec)
    problems = [*access.problems(), *projects.problems(), *stations.problems(projects.names)]
    if problems:
        raise FileError(problems)
    yield from access.changes()
    yield from projects.changes()
    if spec.label_projects:
        yield from label_changes(rekognition(environment), spec)
    yield from stations.line_changes()
    yield from stations.camera_changes()
    for scope in prune:
        kind, _, line = scope.partition("/")
        if kind == "cameras":
            yield from stations.prune_cameras(line or None)
    if "lines" in prune:
        yield from stations.prune_lines()
    if "datasets" in prune:
        yield from projects.prune_datasets()
    if "projects" in prune:
        yield from projects.prune_projects()
    if kinds := set(prune) & set(_ACCESS):
        yield from access.prune(kinds, sts(environment).get_caller_identity()["Arn"])


def _show(changes: list[Change], json: bool) -> None:
    """What is due, as a diff."""
    if json:
        print_json(_plain(change) for change in changes)
        return
    for change in changes:
        mark, style = _MARKS[change.act.value]
        note = f"  ({change.note})" if change.note else ""
        _print(f"{mark} {change.kind} {change.name}{note}", style)
        for name, old, new in change.differences:
            _print(f"    {name}: {_value(old)} -> {_value(new)}", style)
    acts = Counter(change.act.value for change in changes)
    _print(
        ", ".join(f"{acts[act]} to {act}" for act in ("create", "change", "delete")) + f", {acts['none']} as declared"
    )


def _tell(result: Result, json: bool) -> None:
    """What came of one change."""
    change, outcome = result.change, result.outcome.value
    if json:
        print_json([_plain(change) | {"outcome": outcome, "reason": result.reason}])
    elif outcome in ("failed", "not tried"):
        _print(f"{outcome}: {change.kind} {change.name}: {result.reason}", "red")
    elif outcome == "done":
        _print(f"done: {change.kind} {change.name}")


def _plain(change: Change) -> dict[str, Any]:
    return {
        "kind": change.kind,
        "name": change.name,
        "act": change.act.value,
        "differences": [{"field": name, "old": old, "new": new} for name, old, new in change.differences],
        "note": change.note,
    }


def _value(value: Any) -> str:
    return "-" if value is None else value if isinstance(value, str) else jsonlib.dumps(value, ensure_ascii=False)


def _print(text: str, style: str = "") -> None:
    console.print(Text(text, style), soft_wrap=True)


def _parameters(given: list[str]) -> dict[str, str]:
    parameters = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign:
            raise typer.BadParameter(f"--parameter {text}: NAME=VALUE")
        parameters[name] = value
    return parameters
