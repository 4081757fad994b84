"""`vigia feedback`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vigia_client.cli.output import console, print_table
from vigia_client.environment import find
from vigia_client.lookout import object_store, rekognition

if TYPE_CHECKING:
    from vigia_client.datasets.places import Place

app = typer.Typer(
    help="Let a Custom Labels model label, verify it, and train on what was verified.", no_args_is_help=True
)


@app.command("predict")
def predict(
    model_arn: Annotated[str, typer.Argument(metavar="MODEL_ARN", help="A running model.")],
    source: Annotated[
        str,
        typer.Argument(
            metavar="DATASET_ARN|s3://BUCKET[/PREFIX]|FOLDER",
            help="A dataset's images without a label, those of the store, or a folder's, which are uploaded.",
        ),
    ],
    output: Annotated[Path, typer.Option(dir_okay=False, help="The manifest to verify.")] = Path(
        "predictions.manifest"
    ),
    to: Annotated[str | None, typer.Option(metavar="s3://BUCKET/PREFIX", help="Where a folder's images go.")] = None,
    min_confidence: Annotated[
        float | None, typer.Option(min=0, max=100, help="Instead of each label's own threshold.")
    ] = None,
    max_results: Annotated[int | None, typer.Option(min=0, help="The most labels of an image.")] = None,
) -> None:
    """Write what a model finds in images as a manifest, of which nobody has said that it is right.

    Correct each line, and write "yes" for its "human-annotated"; then `vigia feedback verify` and `apply`.
    """
    # The code that decodes images takes long to load; no other command needs it.
    from vigia_client import feedback
    from vigia_client.converters.output import Draft

    environment = find()
    client, store = rekognition(environment), object_store(environment)
    given: dict[str, Any] = {"MinConfidence": min_confidence, "MaxResults": max_results}
    options = {name: value for name, value in given.items() if value is not None}
    addresses = _addresses(source, to, client, store)
    with console.status("looking at images") as status, Draft(output) as draft:
        found = feedback.predict(
            client, store, model_arn, addresses, draft.file.write, lambda n: status.update(f"{n} images"), **options
        )
        draft.keep()
    if found.labels:
        print_table(("LABEL", "FOUND"), found.labels.most_common(), "")
        console.print()
    if found.failed:
        print_table(("NOT LOOKED AT", "WHY"), found.failed, "")
        console.print()
    _say(
        f"{output}: {found.images} images, {found.nothing} without a label; "
        "correct it, then `vigia feedback verify` and `apply`"
    )
    if found.failed:
        raise typer.Exit(1)


@app.command("verify")
def verify(
    manifest: Annotated[str, typer.Argument(metavar="MANIFEST|s3://BUCKET/KEY", help="What came back.")],
    predictions: Annotated[
        str | None, typer.Option(metavar="MANIFEST|s3://BUCKET/KEY", help="The predictions, to tell what was changed.")
    ] = None,
    images: Annotated[bool, typer.Option("--images", help="Also whether every image is in the store.")] = False,
) -> None:
    """Check a manifest that people verified, line by line, before it is applied. Changes nothing.

    Exits with 1 and names every line with what is wrong where a dataset would not take it as it is meant.
    """
    from vigia_client import feedback
    from vigia_client.datasets.places import Bucket

    environment = find()
    given = None if predictions is None else _file(predictions, environment)
    store = Bucket(object_store(environment), "") if images else None
    with console.status("reading"):
        found = feedback.verify(*_file(manifest, environment), given, store)
    compared = ""
    if given is not None:
        compared = f" ({found.confirmed} as predicted, {found.corrected} corrected, {found.added} of other images)"
    _say(
        f"{found.verified} lines can be applied{compared}; left out: {found.unverified} not verified, "
        f"{found.unlabelled} without a label"
    )
    if found.dropped:
        _say(f"{found.dropped} images of the predictions have no verified line")


@app.command("apply")
def apply(
    manifest: Annotated[str, typer.Argument(metavar="MANIFEST|s3://BUCKET/KEY", help="What was verified.")],
    dataset_arn: Annotated[str, typer.Argument(metavar="DATASET_ARN", help="The dataset to train on.")],
    unverified: Annotated[
        bool, typer.Option("--unverified", help="Also lines of which nobody said that they are right.")
    ] = False,
) -> None:
    """Put the verified lines into a dataset, in place of what it has of their images.

    Only lines whose labels all say "human-annotated": "yes". Either every line can be read, or none is sent.
    """
    from vigia_client import feedback

    environment = find()
    place, address = _file(manifest, environment)
    with console.status("reading") as status:
        found = feedback.apply(
            rekognition(environment), place, address, dataset_arn, unverified,
            lambda count: status.update(f"{count} lines are in"),
        )  # fmt: skip
    _say(
        f"{found.applied} lines are in the dataset; left out: {found.unverified} not verified, "
        f"{found.unlabelled} without a label"
    )


def _addresses(source: str, to: str | None, client: Any, store: Any) -> Iterator[str]:
    from vigia_client import feedback
    from vigia_client.datasets.places import Bucket, Folder

    if source.startswith(("arn:", "s3://")) and to is not None:
        raise typer.BadParameter("--to is for a folder: other images are in the store already")
    if source.startswith("arn:"):
        return feedback.unlabelled_of(client, source)
    if source.startswith("s3://"):
        return feedback.images_of(Bucket(store, *_bucket(source)))
    if not Path(source).is_dir():
        raise typer.BadParameter(f"{source} is no folder")
    if to is None or not to.startswith("s3://"):
        raise typer.BadParameter("a folder's images go to the store first: --to s3://BUCKET/PREFIX")
    return feedback.upload(store, Folder(Path(source)), *_bucket(to))


def _bucket(address: str) -> tuple[str, str]:
    bucket, _, prefix = address.removeprefix("s3://").partition("/")
    if not bucket:
        raise typer.BadParameter(f"{address}: a place of the store is s3://BUCKET/PREFIX")
    return bucket, prefix


def _file(manifest: str, environment: Any) -> tuple[Place, str]:
    from vigia_client.datasets.places import Bucket, Folder

    if manifest.startswith("s3://"):
        return Bucket(object_store(environment), *_bucket(manifest)), manifest
    path = Path(manifest)
    return Folder(path.parent), path.name


def _say(text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)
