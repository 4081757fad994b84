"""`vigia convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vigia_client.cli.output import console
from vigia_client.environment import find
from vigia_client.errors import ActionableError
from vigia_client.lookout import object_store

app = typer.Typer(help="Make manifests for Custom Labels of what other tools write.", no_args_is_help=True)

Source = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The file. Never changed.")]
Output = Annotated[Path | None, typer.Option(dir_okay=False, help="The manifest; else named after the file.")]
S3Path = Annotated[str | None, typer.Option(metavar="s3://BUCKET/FOLDER/", help="Where the images are.")]
Upload = Annotated[str | None, typer.Option(metavar="s3://BUCKET/KEY", help="Put the manifest there as well.")]


@app.command("csv")
def csv(csv_file: Source, s3_path: S3Path = None, output: Output = None, upload: Upload = None) -> None:
    """Rows of an image and its labels, without titles, to image-level labels.

    Exits with 1 where images are there more than once: one file has the first row of each, one the others.
    """
    from vigia_client.converters import table

    place = _place(upload)
    told = table.convert(csv_file, output, s3_path)
    if told.manifest is None:
        _say(f"{told.duplicates} rows name an image that is there already: {told.duplicated}")
        _say(f"{told.deduplicated} has the first row of each image: correct it, and convert it instead")
        raise typer.Exit(1)
    _say(f"{told.manifest}: {told.images} images, {told.labels} labels, {told.unlabelled} images without a label")
    _send(told.manifest, place)


@app.command("coco")
def coco(
    coco_file: Source,
    s3_path: S3Path = None,
    job_name: Annotated[str | None, typer.Option(help="The labelling job's name; else the file's.")] = None,
    captured: Annotated[
        str, typer.Option(metavar="TIME", help="For images without date_captured: 2013-11-15 02:41:42.")
    ] = "",
    output: Output = None,
    upload: Upload = None,
) -> None:
    """Boxes of a COCO file to boxes. Images without one get a line with empty lists."""
    from vigia_client.converters import coco as converter

    place = _place(upload)
    told = converter.convert(coco_file, output, s3_path, job_name, captured)
    _say(
        f"{told.manifest}: {told.images} images, {told.boxes} boxes, {told.labels} categories, "
        f"{told.empty} images without a box"
    )
    _send(told.manifest, place)


@app.command("multilabel")
def multilabel(
    manifest_file: Source,
    job: Annotated[str | None, typer.Option(help="The attribute of its labels, where lines have several.")] = None,
    output: Output = None,
    upload: Upload = None,
) -> None:
    """The output of a multi-label job of Ground Truth to image-level labels."""
    from vigia_client.converters import multilabel as converter

    place = _place(upload)
    told = converter.convert(manifest_file, output, job)
    _say(f"{told.manifest}: {told.images} images, {told.labels} labels, {told.unlabelled} images without a label")
    _send(told.manifest, place)


def _place(upload: str | None) -> tuple[str, str] | None:
    """Bucket and key, known to be well formed before anything is made."""
    from vigia_client.datasets.places import split

    if upload is None:
        return None
    place = split(upload)
    if place is None or place[1].endswith("/"):
        raise typer.BadParameter(f"--upload {upload}: an address is s3://BUCKET/KEY")
    return place


def _send(manifest: Path, place: tuple[str, str] | None) -> None:
    if place is None:
        return
    from boto3.exceptions import S3UploadFailedError

    bucket, key = place
    try:
        object_store(find()).upload_file(str(manifest), bucket, key)
    except S3UploadFailedError as error:
        raise ActionableError(str(error)) from error
    _say(f"s3://{bucket}/{key}")


def _say(text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)
