"""What in the data makes an evaluation less certain than its figures look, or is probably labelled wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vigia_training.domain import intervals
from vigia_training.domain.dataset import Entry
from vigia_training.domain.evaluation import Judged

Kind = Literal["note", "contradiction", "duplicate", "few_images", "mislabel_suspect"]

#: Names given with one warning, warnings of training's own, and characters of each.
_MOST_NAMED = 20
_MOST_NOTES = 20
_NOTE_CHARS = 1000
#: With fewer images of a class the rate of its errors is hardly known (0 of 30: up to 12 %).
_FEW_OF_CLASS = 30
_FEW_OF_LABEL = 10
#: So many images of a class tell where its scores lie.
_TELLING = 5


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
) -> list[DataWarning]:
    """All there is to say, the gravest first. Images whose digest is unknown are told apart by address."""
    return [
        *(DataWarning("note", note[:_NOTE_CHARS], 0, []) for note in notes[:_MOST_NOTES]),
        *_same_bytes(results, learn, digests),
        *_mislabelled(results),
        *_few(results, labels),
    ]


def _about(kind: Kind, message: str, uris: Sequence[str]) -> list[DataWarning]:
    return [DataWarning(kind, message, len(uris), list(uris[:_MOST_NAMED]))] if uris else []


def _same_bytes(results: Sequence[Judged], learn: Sequence[Entry], digests: Mapping[str, str]) -> list[DataWarning]:
    def content(entry: Entry) -> str:
        return digests.get(entry.uri, entry.uri)

    test = [r.entry for r in results]
    classes: dict[str, set[bool]] = {}
    for entry in (*learn, *test):
        classes.setdefault(content(entry), set()).add(entry.anomalous)
    both_ways = list(dict.fromkeys(e.uri for e in (*learn, *test) if len(classes[content(e)]) > 1))
    known = {content(entry) for entry in learn}
    across = [entry.uri for entry in test if content(entry) in known]
    seen: set[str] = set()
    twice = []
    for entry in test:
        if content(entry) in seen:
            twice.append(entry.uri)
        seen.add(content(entry))
    return [
        *_about(
            "contradiction",
            "Images with the same content are labelled normal in one place and anomaly in another.",
            both_ways,
        ),
        *_about(
            "duplicate",
            "Test images with the same content as training images: the model was tested on what it has learnt.",
            across,
        ),
        *_about("duplicate", "Test images with the same content as another test image count twice.", twice),
    ]


def _mislabelled(results: Sequence[Judged]) -> list[DataWarning]:
    """Images judged wrong whose score lies beyond the middle of the other class."""
    normal, anomalous = ([r for r in results if r.entry.anomalous is flag] for flag in (False, True))
    warnings = []
    if len(anomalous) >= _TELLING:
        middle = float(np.median([r.score for r in anomalous]))
        deep = [r for r in normal if r.is_anomalous and r.score >= middle]
        deep.sort(key=lambda r: -r.score)
        message = (
            "Test images labelled normal with scores as high as most anomalous ones. "
            "Look at them: either the model is wrong, or the label is."
        )
        warnings += _about("mislabel_suspect", message, [r.entry.uri for r in deep])
    if len(normal) >= _TELLING:
        middle = float(np.median([r.score for r in normal]))
        deep = [r for r in anomalous if not r.is_anomalous and r.score <= middle]
        deep.sort(key=lambda r: r.score)
        message = (
            "Test images labelled anomaly with scores as low as most normal ones. "
            "Look at them: either the model is blind to what they show, or the label is wrong."
        )
        warnings += _about("mislabel_suspect", message, [r.entry.uri for r in deep])
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
    few = [f"{label} ({count})" for label, count in counts.items() if count < _FEW_OF_LABEL]
    if few:
        more = f" and {len(few) - _MOST_NAMED} more" if len(few) > _MOST_NAMED else ""
        message = (
            f"Labels with masks in fewer than {_FEW_OF_LABEL} test images, whose pixel figures say little: "
            f"{', '.join(few[:_MOST_NAMED])}{more}."
        )
        warnings.append(DataWarning("few_images", message, len(few), []))
    return warnings
