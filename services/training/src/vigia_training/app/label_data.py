"""What a model that gives labels is learnt from and tested with: read once, checked, and told apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vigia_training.app.images import Read, in_order
from vigia_training.app.train import Task
from vigia_training.domain.annotations import Annotation, kind_of, labels_in, parse_annotations, shows_logos, usable
from vigia_training.domain.errors import BadData
from vigia_training.domain.label_split import split_labelled
from vigia_vision import DecodeError, decode
from vigia_vision.decode import Pixels
from vigia_vision.manifest import InputContract, LabelKind, TensorSpec

_MOST_PROBLEMS = 10
_LEAST_SIDE = 64


@dataclass(frozen=True, slots=True)
class LabelData:
    """What there is to learn from and to test with, all of it checked."""

    kind: LabelKind
    labels: tuple[str, ...]
    learn: list[Annotation]
    test: list[Annotation]
    sizes: dict[str, tuple[int, int]]  # of every image by its address, width and height
    logos: bool = False  # whether what is learnt from are images of one logo each, to be found in scenes


@dataclass(frozen=True, slots=True)
class Learnt:
    """A graph and what it takes."""

    model: bytes
    outputs: tuple[TensorSpec, ...]
    input: InputContract
    provenance: dict[str, str]


def read_datasets(task: Task, read: Read, tell: Callable[[float], None]) -> LabelData:
    """Both datasets, every image read once: bad ones fail the job before the long part, several named at once."""
    given = parse_annotations(task.training_manifest)
    tested = parse_annotations(task.test_manifest) if task.test_manifest is not None else None
    logos = tested is not None and shows_logos(given, tested)
    kind: LabelKind = "object-detection" if logos else kind_of(given)
    # Beside logos, images without anything boxed show what scenes are like.
    learn = given if logos else usable(given, kind)
    if tested is not None:
        test = usable(tested, kind)
    else:
        learning, testing = split_labelled([one.names(kind) for one in learn], task.seed)
        learn, test = [learn[i] for i in learning], [learn[i] for i in testing]
    labels = labels_in(learn, kind, logos)
    if not test:
        raise BadData(f"there are no images to test with that are labelled for {kind}")
    if not any(name in labels for one in test for name in one.names(kind)):
        raise BadData("the test images have none of the training images' labels")
    sizes: dict[str, tuple[int, int]] = {}
    problems: list[str] = []
    images = list({one.uri: one for one in [*learn, *test]}.values())
    for number, size in enumerate(in_order(lambda one: _checked(one, read), images), 1):
        if isinstance(size, BadData):
            problems.append(str(size))
            if len(problems) == _MOST_PROBLEMS:
                break
        else:
            sizes[images[number - 1].uri] = size
        tell(number / len(images))
    if problems:
        many = f"{len(problems)}{' or more' if len(problems) == _MOST_PROBLEMS else ''} images cannot be used: "
        raise BadData((many if len(problems) > 1 else "") + "; ".join(problems))
    return LabelData(kind, labels, learn, test, sizes, logos)


def _checked(annotation: Annotation, read: Read) -> tuple[int, int] | BadData:
    """Width and height of an image that decodes and is what the manifest says."""
    try:
        high, wide = pixels_of(annotation, read).shape[:2]
    except BadData as error:
        return error
    if min(wide, high) < _LEAST_SIDE:
        least = f"at least {_LEAST_SIDE}x{_LEAST_SIDE} are needed"
        return BadData(f"image {annotation.uri}: {wide}x{high} pixels; {least}")
    if annotation.size is not None and annotation.size != (wide, high):
        return BadData(
            f"image {annotation.uri}: {wide}x{high} pixels; manifest line {annotation.line} gives its boxes for "
            f"{annotation.size[0]}x{annotation.size[1]}"
        )
    return wide, high


def pixels_of(annotation: Annotation, read: Read) -> Pixels:
    try:
        return decode(read(annotation.uri))
    except DecodeError as error:
        raise BadData(f"image {annotation.uri}: {error}") from error
    except BadData as error:
        raise BadData(f"image {error}") from error
