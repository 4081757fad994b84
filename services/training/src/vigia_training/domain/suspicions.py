"""What in the data makes an evaluation less certain than its figures look, or is probably labelled wrong."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from vigia_training.domain import intervals
from vigia_training.domain.dataset import Entry
from vigia_training.domain.evaluation import Judged

Kind = Literal[
    "note",
    "contradiction",
    "duplicate",
    "few_images",
    "few_parts",
    "mislabel_suspect",
    "mixed_sizes",
    "tiny_objects",
    "unknown_label",
]

#: Names given with one warning, warnings of training's own, and characters of each.
MOST_NAMED: Final = 20
_MOST_NOTES = 20
_NOTE_CHARS = 1000
#: With fewer images of a class the rate of its errors is hardly known (0 of 30: up to 12 %).
_FEW_OF_CLASS = 30
FEW_OF_LABEL: Final = 10
#: So many images of a class tell where its scores lie.
TELLING: Final = 5
#: From so many images on it is worth saying that they show no more than this share of parts.
_MANY_IMAGES = 10
_PARTS_SHARE = 0.5
#: Cells of the model's view that a defect covers at least, where it can be seen well: 4x4.
_SEEN = 16


@dataclass(frozen=True, slots=True)
class DataWarning:
    """``images``: addresses of some of the ``count`` images that it is about, where it is about images."""

    kind: Kind
    message: str
    count: int
    images: list[str]


def suspicions(
    results: Sequence[Judged],
    learn: Sequence[Entry],
    digests: Mapping[str, str],
    notes: Sequence[str],
    labels: Sequence[str],
    cells: float,
    parts: Mapping[str, int],
) -> list[DataWarning]:
    """All there is to say, the gravest first. ``cells``: of the model's view, for one pixel of an image; ``parts``: a
    number for each image by its address, the same of images that show one part."""
    return [
        *notes_of(notes),
        *same_content(
            [(entry.uri, entry.class_name) for entry in learn],
            [(result.entry.uri, result.entry.class_name) for result in results],
            digests,
            "Images with the same content are labelled normal in one place and anomaly in another.",
        ),
        *_mislabelled(results),
        *_few(results, labels),
        *few_parts([entry.uri for entry in learn], [result.entry.uri for result in results], parts),
        *_tiny(results, cells),
    ]


def notes_of(notes: Sequence[str]) -> list[DataWarning]:
    """What training itself has to say, within bounds."""
    return [DataWarning("note", note[:_NOTE_CHARS], 0, []) for note in notes[:_MOST_NOTES]]


def about(kind: Kind, message: str, uris: Sequence[str]) -> list[DataWarning]:
    """A warning about images, where there are any."""
    return [DataWarning(kind, message, len(uris), list(uris[:MOST_NAMED]))] if uris else []


def same_content(
    learn: Sequence[tuple[str, Hashable]],
    test: Sequence[tuple[str, Hashable]],
    digests: Mapping[str, str],
    contradiction: str,
) -> list[DataWarning]:
    """Images, by address and how they are labelled, whose bytes are those of another; ``contradiction``: what to say
    where they are labelled differently. Images whose digest is unknown are told apart by address."""

    def content(uri: str) -> str:
        return digests.get(uri, uri)

    labelled: dict[str, set[Hashable]] = {}
    for uri, labels in (*learn, *test):
        labelled.setdefault(content(uri), set()).add(labels)
    both_ways = list(dict.fromkeys(uri for uri, _ in (*learn, *test) if len(labelled[content(uri)]) > 1))
    known = {content(uri) for uri, _ in learn}
    across = [uri for uri, _ in test if content(uri) in known]
    seen: set[str] = set()
    twice = []
    for uri, _ in test:
        if content(uri) in seen:
            twice.append(uri)
        seen.add(content(uri))
    return [
        *about("contradiction", contradiction, both_ways),
        *about(
            "duplicate",
            "Test images with the same content as training images: the model was tested on what it has learnt.",
            across,
        ),
        *about("duplicate", "Test images with the same content as another test image count twice.", twice),
    ]


def _mislabelled(results: Sequence[Judged]) -> list[DataWarning]:
    """Images judged wrong whose score lies beyond the middle of the other class."""
    normal, anomalous = ([r for r in results if r.entry.anomalous is flag] for flag in (False, True))
    warnings = []
    if len(anomalous) >= TELLING:
        middle = float(np.median([r.score for r in anomalous]))
        deep = [r for r in normal if r.is_anomalous and r.score >= middle]
        deep.sort(key=lambda r: -r.score)
        message = (
            "Test images labelled normal with scores as high as most anomalous ones. "
            "Look at them: either the model is wrong, or the label is."
        )
        warnings += about("mislabel_suspect", message, [r.entry.uri for r in deep])
    if len(normal) >= TELLING:
        middle = float(np.median([r.score for r in normal]))
        deep = [r for r in anomalous if not r.is_anomalous and r.score <= middle]
        deep.sort(key=lambda r: r.score)
        message = (
            "Test images labelled anomaly with scores as low as most normal ones. "
            "Look at them: either the model is blind to what they show, or the label is wrong."
        )
        warnings += about("mislabel_suspect", message, [r.entry.uri for r in deep])
    return warnings


def _few(results: Sequence[Judged], labels: Sequence[str]) -> list[DataWarning]:
    warnings = []
    for flag, name, error in ((False, "normal", "false-reject rate"), (True, "anomalous", "miss rate")):
        members = [r for r in results if r.entry.anomalous is flag]
        if not members:
            message = f"No {name} images were tested: nothing is known of the {error}."
        elif len(members) < _FEW_OF_CLASS:
            wrong = intervals.rate(sum(r.is_anomalous is not flag for r in members), len(members))
            message = (
                f"Only {len(members)} {name} images were tested: with {wrong.count} of them judged wrong, "
                f"the {error} may be anything from {wrong.low:.1%} to {wrong.high:.1%}."
            )
        else:
            continue
        warnings.append(DataWarning("few_images", message, len(members), []))
    counts = {label: sum(r.overlaps[label].true > 0 for r in results if label in r.overlaps) for label in labels}
    few = [f"{label} ({count})" for label, count in counts.items() if count < FEW_OF_LABEL]
    if few:
        message = (
            f"Labels with masks in fewer than {FEW_OF_LABEL} test images, whose figures say little: {listed(few)}."
        )
        warnings.append(DataWarning("few_images", message, len(few), []))
    return warnings


def few_parts(learn: Sequence[str], test: Sequence[str], parts: Mapping[str, int]) -> list[DataWarning]:
    """Where images, by address, show far fewer parts than there are images."""
    warnings = []
    for what, uris, so in (
        ("training", learn, "other parts may look different from all that was learnt"),
        ("test", test, "ranges count every image for itself, and are narrower than they should be"),
    ):
        shown = len({parts[uri] for uri in uris if uri in parts})
        if len(uris) >= _MANY_IMAGES and 0 < shown <= _PARTS_SHARE * len(uris):
            message = f"The {len(uris)} {what} images show only {shown} parts, by part id or as near-duplicates: {so}."
            warnings.append(DataWarning("few_parts", message, len(uris), []))
    return warnings


def listed(names: Sequence[str]) -> str:
    """Some of the names, and how many more there are."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"{', '.join(names[:MOST_NAMED])}{more}"


def _tiny(results: Sequence[Judged], cells: float) -> list[DataWarning]:
    marked = [(r, sum(overlap.true for overlap in r.overlaps.values()) * cells) for r in results]
    message = (
        "Test images in which all that is marked covers less than 4x4 pixels at the model's resolution, which it "
        "hardly sees: photograph a smaller field."
    )
    return about("tiny_objects", message, [r.entry.uri for r, covered in marked if 0 < covered < _SEEN])
