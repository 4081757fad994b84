"""`vigia trials`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from vigia_client.api import Json, Vigia
from vigia_client.cli.output import AsJson, clock, console, print_json, print_table

app = typer.Typer(help="Try a trained version on new images, and learn from them.", no_args_is_help=True)
TrialId = Annotated[str, typer.Argument(metavar="TRIAL", help="The trial's id.")]
Numbers = Annotated[list[str] | None, typer.Argument(metavar="[IMAGE]...", help="Numbers and ranges: 3 5-9.")]

_IMAGES = {".jpg", ".jpeg", ".png"}
_MOST_IMAGES = 100_000
_POLL_SECONDS = 0.5
_TITLES = ("NUMBER", "NAME", "PREDICTION", "CONFIDENCE", "WHAT", "VERIFIED", "ADDED")


class AnomalyClass(StrEnum):
    """What an image is."""

    NORMAL = "normal"
    ANOMALY = "anomaly"


class Verification(StrEnum):
    """What a person said."""

    UNVERIFIED = "unverified"
    CORRECT = "correct"
    INCORRECT = "incorrect"


class Sort(StrEnum):
    """Order of images."""

    NUMBER = "number"
    LEAST_SURE = "confidence"
    MOST_SURE = "-confidence"


@app.command("run")
def run(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to call it; new in the project.")],
    images: Annotated[list[str], typer.Argument(metavar="IMAGES", help="s3://BUCKET/PREFIX, or files and folders.")],
    project: Annotated[str, typer.Option(help="Whose model.")],
    model_version: Annotated[str, typer.Option(help="The version; it need not be hosted.")] = "latest",
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Until every image is judged.")] = True,
    json: AsJson = False,
) -> None:
    """Run a version over images: of the store, where they lie, or of this machine, which are uploaded."""
    remote = [image for image in images if image.startswith("s3://")]
    if remote and len(remote) < len(images):
        raise typer.BadParameter("give addresses of the store or files, not both")
    files = [] if remote else _files(images)
    with Vigia.of() as vigia:
        trial = vigia.create_trial(project, name, _source(remote), model_version)
        if files:
            for file_name, path in files:
                vigia.upload_to_trial(trial["trial_id"], file_name, path.read_bytes())
            trial = vigia.start_trial(trial["trial_id"])
        while wait and trial["state"] == "in_progress":
            time.sleep(_POLL_SECONDS)
            trial = vigia.trial(trial["trial_id"])
    _show(trial, json)
    if trial["state"] == "failed":
        raise typer.Exit(1)


@app.command("list")
def index(project: Annotated[str, typer.Option(help="Whose trials.")], json: AsJson = False) -> None:
    """Show a project's trials, newest first."""
    with Vigia.of() as vigia:
        rows = list(vigia.trials(project))
    if json:
        print_json(rows)
        return
    shown = [
        (
            row["trial_id"],
            row["name"],
            row["model_version"],
            row["state"],
            f"{row['counts']['judged'] + row['counts']['failed']}/{row['counts']['images']}",
            row["counts"]["anomaly"],
            row["counts"]["correct"] + row["counts"]["incorrect"],
            row["counts"]["added"],
            clock(row["created_at"])[:16],
        )
        for row in rows
    ]
    titles = ("TRIAL", "NAME", "VERSION", "STATE", "DONE", "ANOMALOUS", "VERIFIED", "ADDED", "CREATED")
    print_table(titles, shown, f"no trials yet: vigia trials run NAME s3://BUCKET/PREFIX --project {project}")


@app.command("show")
def show(
    trial: TrialId,
    prediction: Annotated[AnomalyClass | None, typer.Option(help="Only images predicted so.")] = None,
    verification: Annotated[Verification | None, typer.Option(help="Only images verified so.")] = None,
    label: Annotated[str | None, typer.Option(help="Only images with this anomaly label.")] = None,
    sort: Annotated[Sort, typer.Option(help="`confidence`: least sure first.")] = Sort.NUMBER,
    json: AsJson = False,
) -> None:
    """Show a trial and its images."""
    with Vigia.of() as vigia:
        found = vigia.trial(trial)
        rows = list(
            vigia.trial_images(
                trial,
                prediction=prediction.value if prediction else None,
                verification=verification.value if verification else None,
                label=label,
                sort=sort.value,
            )
        )
    if json:
        print_json(rows)
        return
    _show(found, json=False)
    print_table(_TITLES, map(_cells, rows), "no images")


@app.command("verify")
def verify(
    trial: TrialId,
    images: Numbers = None,
    correct: Annotated[bool, typer.Option("--correct", help="The predictions are right.")] = False,
    incorrect: Annotated[bool, typer.Option("--incorrect", help="The predictions are wrong.")] = False,
    real: Annotated[
        AnomalyClass | None, typer.Option("--as", help="What wrong ones are; without it the other class.")
    ] = None,
    mask: Annotated[Path | None, typer.Option(help="The right mask of one image, a PNG.", dir_okay=False)] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every image that is not verified yet.")] = False,
) -> None:
    """Say whether predictions are right. With --mask, where the anomalies of one image are."""
    numbers = _numbers(images or [])
    if [correct, incorrect, mask is not None].count(True) != 1:
        raise typer.BadParameter("give exactly one of --correct, --incorrect, --mask")
    if everything == bool(numbers):
        raise typer.BadParameter("give the numbers of images, or --all")
    with Vigia.of() as vigia:
        if mask is not None:
            if len(numbers) != 1:
                raise typer.BadParameter("a mask belongs to one image")
            rows = [vigia.correct_trial_mask(trial, numbers[0], mask.read_bytes())]
        else:
            if everything:
                waiting = vigia.trial_images(trial, state="judged", verification="unverified")
                numbers = [row["number"] for row in waiting]
            said = Verification.CORRECT if correct else Verification.INCORRECT
            rows = vigia.verify_trial(trial, numbers, said.value, real.value if real else None) if numbers else []
    print_table(_TITLES, map(_cells, rows), "nothing is left to verify")


@app.command("add")
def add(trial: TrialId, images: Numbers = None) -> None:
    """Add verified images to the training dataset: these, or all that are not in it. Then train again."""
    numbers = _numbers(images or []) or None
    with Vigia.of() as vigia:
        added = vigia.add_trial_images(trial, numbers)
    if added["added"]:
        console.print(f"{added['added']} images are being added to the training dataset ({added['status']})")
    else:
        console.print("nothing to add: every verified image is in the training dataset")


def _source(remote: list[str]) -> Json:
    if not remote:
        return {"kind": "upload"}
    if len(remote) == 1 and not remote[0].lower().endswith(tuple(_IMAGES)):
        return {"kind": "folder", "uri": remote[0]}
    return {"kind": "images", "uris": remote}


def _files(given: list[str]) -> list[tuple[str, Path]]:
    """Images by the names they get: a file's own, in a folder with its path in there."""
    found: list[tuple[str, Path]] = []
    for place in map(Path, given):
        if place.is_dir():
            inside = sorted(path for path in place.rglob("*") if path.is_file() and path.suffix.lower() in _IMAGES)
            found += [(path.relative_to(place).as_posix(), path) for path in inside]
        elif place.is_file():
            found.append((place.name, place))
        else:
            raise typer.BadParameter(f"{place} does not exist")
    names = [name for name, _ in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise typer.BadParameter(f"two images are called {twice}")
    if not found:
        raise typer.BadParameter("there is no .jpg, .jpeg or .png")
    return found


def _numbers(given: list[str]) -> list[int]:
    return [number for text in given for number in _range(text)]


def _range(text: str) -> Iterator[int]:
    first, _, last = text.partition("-")
    if not first.isdecimal() or (last and not last.isdecimal()) or text.endswith("-"):
        raise typer.BadParameter(f"{text} is neither a number nor a range as 5-9")
    if int(last or first) > _MOST_IMAGES:
        raise typer.BadParameter(f"{text}: no trial has so many images")
    yield from range(int(first), int(last or first) + 1)


def _show(trial: Json, json: bool) -> None:
    if json:
        print_json([trial])
        return
    counts: dict[str, Any] = trial["counts"]
    console.print(
        f"trial {trial['trial_id']} ({trial['name']}), version {trial['model_version']} of {trial['project']}: "
        f"{trial['state']}. {trial['status_message']}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    words = ("images", "waiting", "failed", "normal", "anomaly", "unverified", "correct", "incorrect", "added")
    console.print(", ".join(f"{word} {counts[word]}" for word in words), highlight=False, soft_wrap=True)


def _cells(row: Json) -> tuple[object, ...]:
    found = ", ".join(f"{area['name']} {area['area']:.2%}" for area in row["areas"])
    what = row["error"] or found
    said = row["verification"]
    if said == "incorrect":
        labels = row["corrected_labels"]
        said = f"incorrect: {row['corrected_class']}" + (f" ({', '.join(labels)})" if labels else "")
    sure = row["confidence"]
    return (
        row["number"],
        row["name"],
        row["prediction"] or row["state"],
        None if sure is None else f"{sure:.3f}",
        what,
        said,
        "yes" if row["added"] else "",
    )
