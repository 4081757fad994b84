"""What a model that gives labels is learnt from and tested with: read once, checked, and told apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vigia_training.app.images import Read, in_order
from vigia_training.app.train import Task
from vigia_training.domain.annotations import Annotation, kind_of, labels_in, parse_annotations, shows_logos, usable
from vigia_training.domain.errors import BadData
from vigia_training.domain.grouping import Thumbnail, group, shown_twice, thumbnail
from vigia_training.domain.label_split import split_labelled, untested
from vigia_training.domain.text import whole
from vigia_vision import DecodeError, decode
from vigia_vision.decode import Pixels
from vigia_vision.manifest import InputContract, LabelKind, TensorSpec

#: Of wrong files, and of labels in a warning, so many are named.
_MOST_PROBLEMS = 10
_MOST_NAMED = 10
_LEAST_SIDE = 64


@dataclass(frozen=True, slots=True)
class LabelData:
    """What there is to learn from and to test with, all of it checked.

    ``parts``: for each image's address a number, the same of images that show one physical part.
    """

    kind: LabelKind
    labels: tuple[str, ...]
    learn: list[Annotation]
    test: list[Annotation]
    sizes: dict[str, tuple[int, int]]  # of every image by its address, width and height
    parts: dict[str, int]
    warnings: list[str]  # what the user should know of them
    logos: bool = False  # whether what is learnt from are images of one logo each, to be found in scenes

    @property
    def groups(self) -> list[int]:
        """The number of the part that each image in ``learn`` shows."""
        return [self.parts[one.uri] for one in self.learn]


@dataclass(frozen=True, slots=True)
class Learnt:
    """A graph and what it takes; ``warnings``: what the user should know of what it was learnt from."""

    model: bytes
    outputs: tuple[TensorSpec, ...]
    input: InputContract
    provenance: dict[str, str]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Images:
    """What was read: of every image by its address width and height, and its thumbnail."""

    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    thumbnails: dict[str, Thumbnail] = field(default_factory=dict)

    def of(self, annotations: Sequence[Annotation]) -> NDArray[np.float32]:
        """The thumbnails ``[N, 144]`` of images, in their order."""
        return np.stack([self.thumbnails[one.uri] for one in annotations])


def read_datasets(task: Task, read: Read, tell: Callable[[float], None]) -> LabelData:
    """Both datasets, every image read once: bad ones fail the job before the long part, several named at once."""
    given = parse_annotations(whole(task.training_manifest))
    tested = None if task.test_manifest is None else parse_annotations(whole(task.test_manifest))
    logos = tested is not None and shows_logos(given, tested)
    kind: LabelKind = "object-detection" if logos else kind_of(given)
    # Beside logos, images without anything boxed show what scenes are like.
    learn = given if logos else usable(given, kind)
    test = None if tested is None else usable(tested, kind)
    labels = labels_in(learn, kind, logos)
    if test is not None:
        _can_test(test, labels, kind)
    images = _read([*learn, *(test or ())], read, tell)
    data = divide(kind, labels, learn, test, images, task.seed, logos)
    if test is None:
        _can_test(data.test, labels, kind)
    return data


def divide(
    kind: LabelKind,
    labels: tuple[str, ...],
    learn: list[Annotation],
    test: list[Annotation] | None,
    images: Images,
    seed: int,
    logos: bool = False,
    most: int | None = None,
) -> LabelData:
    """What is learnt from and what tests; without ``test`` a fifth of ``learn`` does, images of one part together, and
    at most so many of a label.
    """
    everything = [*learn, *(test or ())]
    groups = group(images.of(everything), [one.part for one in everything])
    learning = list(range(len(learn)))
    if test is not None:
        warnings = shown_twice(groups, len(learn))
    else:
        learning, testing, warnings = _divide([one.names(kind) for one in everything], groups, seed, most)
        test = [everything[i] for i in testing]
    return LabelData(
        kind=kind,
        labels=labels,
        learn=[everything[i] for i in learning],
        test=test,
        sizes=images.sizes,
        parts=dict(zip((one.uri for one in everything), groups.tolist(), strict=True)),
        warnings=warnings,
        logos=logos,
    )


def _can_test(test: Sequence[Annotation], labels: Sequence[str], kind: LabelKind) -> None:
    if not test:
        raise BadData(f"there are no images to test with that are labelled for {kind}")
    if not any(name in labels for one in test for name in one.names(kind)):
        raise BadData("the test images have none of the training images' labels")


def _divide(
    labels: Sequence[Sequence[str]], groups: NDArray[np.int64], seed: int, most: int | None
) -> tuple[list[int], list[int], list[str]]:
    """Indices for training and for testing, images of one part on one side; and what to say of that.

    Labels of which then nothing would test come to both sides, and their parts with them.
    """
    learning, testing = split_labelled(labels, seed, groups=groups.tolist(), most_of_label=most)
    singly = split_labelled(labels, seed, most_of_label=most)[1]
    one_part = sorted(set(untested(labels, testing)) - set(untested(labels, singly)))
    if not one_part:
        return learning, testing, []
    apart = {int(groups[i]) for i, names in enumerate(labels) if set(one_part) & set(names)}
    loose = [len(groups) + i if number in apart else number for i, number in enumerate(groups.tolist())]
    learning, testing = split_labelled(labels, seed, groups=loose, most_of_label=most)
    more = f" and {len(one_part) - _MOST_NAMED} more" if len(one_part) > _MOST_NAMED else ""
    warning = (
        "the images of these labels show so few parts that some had to be on both sides, in training and in test: "
        f"{', '.join(one_part[:_MOST_NAMED])}{more}"
    )
    return learning, testing, [warning]


def _read(annotations: Sequence[Annotation], read: Read, tell: Callable[[float], None]) -> Images:
    """Every image once. BadData names several that are wrong: each try costs the customer a round."""
    images = list({one.uri: one for one in annotations}.values())
    seen = Images()
    problems: list[str] = []
    for number, found in enumerate(in_order(lambda one: _checked(one, read), images), 1):
        if isinstance(found, BadData):
            problems.append(str(found))
            if len(problems) == _MOST_PROBLEMS:
                break
        else:
            seen.sizes[images[number - 1].uri], seen.thumbnails[images[number - 1].uri] = found
        tell(number / len(images))
    if problems:
        many = f"{len(problems)}{' or more' if len(problems) == _MOST_PROBLEMS else ''} images cannot be used: "
        raise BadData((many if len(problems) > 1 else "") + "; ".join(problems))
    return seen


def _checked(annotation: Annotation, read: Read) -> tuple[tuple[int, int], Thumbnail] | BadData:
    """Width and height of an image that decodes and is what the manifest says, and its thumbnail."""
    try:
        pixels = pixels_of(annotation, read)
    except BadData as error:
        return error
    high, wide = pixels.shape[:2]
    if min(wide, high) < _LEAST_SIDE:
        least = f"at least {_LEAST_SIDE}x{_LEAST_SIDE} are needed"
        return BadData(f"image {annotation.uri}: {wide}x{high} pixels; {least}")
    if annotation.size is not None and annotation.size != (wide, high):
        return BadData(
            f"image {annotation.uri}: {wide}x{high} pixels; manifest line {annotation.line} gives its boxes for "
            f"{annotation.size[0]}x{annotation.size[1]}"
        )
    return (wide, high), thumbnail(pixels)


def pixels_of(annotation: Annotation, read: Read) -> Pixels:
    try:
        return decode(read(annotation.uri))
    except DecodeError as error:
        raise BadData(f"image {annotation.uri}: {error}") from error
    except BadData as error:
        raise BadData(f"image {error}") from error
