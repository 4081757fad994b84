"""Learning from a running model: its predictions as a manifest for people to verify, what came back, and applying it.

Predictions say ``human-annotated`` ``no``. Whoever verifies a line corrects it and says ``yes``; no other is applied.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Final

from botocore.exceptions import ClientError

from vigia_client.datasets.delivery import batches
from vigia_client.datasets.images import CUSTOM_LABELS
from vigia_client.datasets.labels import LONGEST_READ, MOST_UPDATE, entry_pages
from vigia_client.datasets.lines import lines_of
from vigia_client.datasets.places import Place, join, split
from vigia_client.datasets.survey import in_order, is_image
from vigia_client.errors import ActionableError
from vigia_client.lookout import Json, wait
from vigia_contracts import ground_truth
from vigia_vision.decode import DecodeError, probe

_BOXES: Final = "bounding-box"
#: So many wrong lines are named one by one.
_NAMED: Final = 20
_UPDATE_SECONDS: Final = 1800.0
#: What the service says of an image, and not of the whole undertaking.
_OF_IMAGE: Final = frozenset({"ImageTooLargeException", "InvalidImageFormatException", "InvalidS3ObjectException"})


class FeedbackError(ActionableError):
    """There is nothing to predict, or a manifest that cannot be applied; the text says what is wrong."""


# --- predictions ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Predicted:
    """``labels``: how often each was found; ``nothing``: images without any; ``failed``: images and why."""

    images: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    nothing: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)


def images_of(place: Place) -> Iterator[str]:
    """The addresses of the images of a folder or bucket."""
    return (file.address for file in place.files() if is_image(file.address))


def unlabelled_of(rekognition: Any, dataset_arn: str) -> Iterator[str]:
    """The addresses of a dataset's images without a label."""
    for page in entry_pages(rekognition, dataset_arn, Labeled=False):
        for entry in page["DatasetEntries"]:
            yield json.loads(entry)["source-ref"]


def upload(s3: Any, place: Place, bucket: str, prefix: str) -> Iterator[str]:
    """Put a folder's images below the prefix, under the paths that they have; the address of each."""

    def send(address: str) -> str:
        data = place.read(address, CUSTOM_LABELS.limits.max_bytes)
        kind = "image/png" if data.startswith(b"\x89PNG") else "image/jpeg"
        key = join(prefix.strip("/"), address)
        s3.put_object(Bucket=bucket, Key=key, Body=data, ContentType=kind)
        return f"s3://{bucket}/{key}"

    return in_order(send, images_of(place))


def predict(
    rekognition: Any,
    s3: Any,
    model_arn: str,
    addresses: Iterable[str],
    write: Callable[[str], object],
    told: Callable[[int], None],
    **options: Any,
) -> Predicted:
    """Write a line for each image, in order; FeedbackError without any, ClientError.

    ``options``: those of DetectCustomLabels. An image that the service refuses is left out and told of.
    """
    job = f"vigia-feedback/{model_arn.split('/')[3]}" if model_arn.count("/") >= 3 else "vigia-feedback"
    found = Predicted()

    def ask(address: str) -> tuple[str, list[Json], tuple[int, int] | None, str]:
        place = split(address)
        if place is None:
            return address, [], None, "not an s3:// address"
        image = {"S3Object": {"Bucket": place[0], "Name": place[1]}}
        try:
            labels = rekognition.detect_custom_labels(ProjectVersionArn=model_arn, Image=image, **options)[
                "CustomLabels"
            ]
            boxed = any("Geometry" in label for label in labels)
            return address, labels, _size(s3, *place) if boxed else None, ""
        except ClientError as error:
            if error.response["Error"]["Code"] not in _OF_IMAGE:
                raise
            return address, [], None, str(error.response["Error"]["Message"])
        except DecodeError as error:
            return address, [], None, str(error)

    for address, labels, size, why in in_order(ask, addresses):
        if why:
            found.failed.append((address, why))
            continue
        found.images += 1
        found.labels.update(label["Name"] for label in labels)
        found.nothing += not labels
        write(json.dumps(_line(address, labels, size, job)) + "\n")
        told(found.images)
    if not found.images and not found.failed:
        raise FeedbackError("there is no image to look at")
    return found


def _size(s3: Any, bucket: str, key: str) -> tuple[int, int]:
    """Width and height of an image of the store; ClientError, DecodeError."""
    data = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    info = probe(data, CUSTOM_LABELS.limits)
    return info.width, info.height


def _line(address: str, labels: list[Json], size: tuple[int, int] | None, job: str) -> Json:
    common = {
        "job-name": job,
        "human-annotated": "no",
        "creation-date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f"),
    }
    fields: Json = {"source-ref": address}
    whole = [label for label in labels if "Geometry" not in label]
    for index, label in enumerate(whole):
        fields[f"label-{index}"] = index
        fields[f"label-{index}-metadata"] = {
            "class-name": label["Name"],
            "confidence": label["Confidence"] / 100,
            "type": ground_truth.IMAGE_LABEL,
            **common,
        }
    boxed = [label for label in labels if "Geometry" in label]
    if boxed and size is not None:
        ids = {name: number for number, name in enumerate(sorted({label["Name"] for label in boxed}))}
        fields[_BOXES] = {
            "image_size": [{"width": size[0], "height": size[1], "depth": 3}],
            "annotations": [
                {"class_id": ids[label["Name"]], **_pixels(label["Geometry"]["BoundingBox"], *size)} for label in boxed
            ],
        }
        fields[f"{_BOXES}-metadata"] = {
            "objects": [{"confidence": label["Confidence"] / 100} for label in boxed],
            "class-map": {str(number): name for name, number in ids.items()},
            "type": ground_truth.BOXES,
            **common,
        }
    return fields


def _pixels(box: Json, width: int, height: int) -> Json:
    """A box in whole pixels, within its image."""
    left, right = (_within(side, width) for side in (box["Left"], box["Left"] + box["Width"]))
    top, bottom = (_within(side, height) for side in (box["Top"], box["Top"] + box["Height"]))
    return {"left": left, "top": top, "width": right - left, "height": bottom - top}


def _within(share: float, pixels: int) -> int:
    return round(min(1.0, max(0.0, share)) * pixels)


# --- what came back ---------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Verified:
    """Lines that ``apply`` puts in (``verified``) and leaves out. Of the former, where predictions are known: with the
    labels that were predicted, with others, and of other images. ``dropped``: predicted images without a verified line.
    """

    verified: int = 0
    unverified: int = 0
    unlabelled: int = 0
    confirmed: int = 0
    corrected: int = 0
    added: int = 0
    dropped: int = 0


def verify(
    place: Place, manifest: str, predictions: tuple[Place, str] | None = None, store: Place | None = None
) -> Verified:
    """Look at a manifest that people verified, line by line; nothing is changed anywhere.

    ``predictions``: where the predictions lie that they were given. ``store``: where the images have to be.
    FeedbackError names every line that cannot be used; PlaceError, ClientError.
    """
    said: dict[bytes, bytes] = {}
    if predictions is not None:
        where, file = predictions
        # A model may well find boxes that nobody could apply.
        for _, raw in lines_of(where.chunks(file), LONGEST_READ):
            line = ground_truth.read_line(raw)
            if line.source_ref is None:
                raise FeedbackError(f"{file}: these are no predictions")
            said[_digest(line.source_ref)] = _said(line)

    def missing(line: ground_truth.Line) -> str:
        known = store is None or store.exists(line.source_ref or "")
        return "" if known else f"{line.source_ref} does not exist, or may not be read"

    found = Verified()
    for line in _sound(place, manifest, f"{manifest} cannot be applied", None if store is None else missing):
        if not line.labeled:
            found.unlabelled += 1
        elif not _verified(line):
            found.unverified += 1
        else:
            found.verified += 1
            if predictions is not None:
                before = said.pop(_digest(line.source_ref or ""), None)
                found.confirmed += before == _said(line)
                found.corrected += before not in (None, _said(line))
                found.added += before is None
    found.dropped = len(said)
    return found


def _said(line: ground_truth.Line) -> bytes:
    """What a line says of its image, whatever its attributes are called and in whatever order they come."""
    boxes = sorted((box.label, box.left, box.top, box.width, box.height) for box in line.boxes)
    return _digest(json.dumps([sorted(line.image_labels), boxes]))


# --- verified ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Applied:
    """Lines of a verified manifest: applied, not verified yet, without a label."""

    applied: int = 0
    unverified: int = 0
    unlabelled: int = 0


def apply(
    rekognition: Any,
    place: Place,
    manifest: str,
    dataset_arn: str,
    unverified: bool = False,
    told: Callable[[int], None] = lambda _: None,
) -> Applied:
    """Put the lines that people verified into the dataset, in place of what it has of their images.

    Every line is looked at before any is sent. ``unverified``: also those of which nobody said ``yes``. Lines without a
    label say nothing and stay out. FeedbackError for what cannot be applied; PlaceError, ClientError.
    """
    found = Applied()
    for _ in _sound(place, manifest, f"{manifest}: nothing was applied"):
        pass
    chosen = (line.text for line in _chosen(place, manifest, unverified, found))
    _settled(rekognition, dataset_arn, "CREATE_FAILED", 0)
    for changes in batches(chosen, MOST_UPDATE):
        rekognition.update_dataset_entries(DatasetArn=dataset_arn, Changes={"GroundTruth": changes})
        _settled(rekognition, dataset_arn, "UPDATE_FAILED", found.applied)
        found.applied += changes.count(b"\n")
        told(found.applied)
    return found


def _sound(
    place: Place, manifest: str, said: str, wanting: Callable[[ground_truth.Line], str] | None = None
) -> Iterator[ground_truth.Line]:
    """The lines of a manifest; at its end FeedbackError, beginning with ``said``, where one cannot be used.

    ``wanting``: what else is wrong with a line; empty where nothing is. It is called on several threads.
    """
    wrong: list[str] = []
    count = 0
    seen: set[bytes] = set()

    def look(numbered: tuple[int, bytes]) -> tuple[int, ground_truth.Line, list[str]]:
        number, raw = numbered
        line = ground_truth.read_line(raw)
        found = [f"{error.code}: {error.message}" for error in line.errors]
        more = "" if wanting is None or line.source_ref is None else wanting(line)
        return number, line, [*found, more] if more else found

    numbered = lines_of(place.chunks(manifest), LONGEST_READ)
    for number, line, found in map(look, numbered) if wanting is None else in_order(look, numbered):
        if line.source_ref is not None:
            key = _digest(line.source_ref)
            found += [f"another line is of {line.source_ref}, too"] if key in seen else []
            seen.add(key)
        if found:
            count += 1
            wrong += [f"line {number}: {'; '.join(found)}"] if count <= _NAMED else []
        yield line
    if count:
        more = f"\nand {count - _NAMED} more" if count > _NAMED else ""
        raise FeedbackError(f"{said}\n" + "\n".join(wrong) + more)
    if not seen:
        raise FeedbackError(f"{manifest} has no line")


def _digest(text: str) -> bytes:
    """Of a manifest with a few hundred thousand lines as many are held."""
    return blake2b(text.encode(), digest_size=16).digest()


def _chosen(place: Place, manifest: str, unverified: bool, found: Applied) -> Iterator[ground_truth.Line]:
    for _, raw in lines_of(place.chunks(manifest), LONGEST_READ):
        line = ground_truth.read_line(raw)
        if not line.labeled:
            found.unlabelled += 1
        elif not unverified and not _verified(line):
            found.unverified += 1
        else:
            yield line


def _verified(line: ground_truth.Line) -> bool:
    """Whether a person said ``yes`` to all of its labels."""
    return all(
        value["human-annotated"] == "yes"
        for value in (line.fields or {}).values()
        if isinstance(value, dict) and "human-annotated" in value
    )


def _settled(rekognition: Any, arn: str, failed: str, before: int) -> None:
    """Wait until nothing is in progress; FeedbackError where the dataset has that state. ``before``: lines applied."""

    def look() -> Json:
        described: Json = rekognition.describe_dataset(DatasetArn=arn)["DatasetDescription"]
        return described

    described = wait(look, lambda status: status.endswith("_IN_PROGRESS"), _UPDATE_SECONDS, lambda _: None)
    if described["Status"] == failed:
        raise FeedbackError(f"the dataset is {failed}, {before} lines are in: {described.get('StatusMessage', '')}")
