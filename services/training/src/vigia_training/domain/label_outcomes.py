"""What a model that gives labels says of its test images, and how much of it is so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vigia_training.domain.annotations import Annotation, Boxed
from vigia_training.domain.label_metrics import Claims, Floats, claims, match
from vigia_vision import Finding
from vigia_vision.manifest import LabelKind

Verdict = Literal["right", "confused", "false", "missed"]
#: Left, top, width and height in the image's pixels.
Sides = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Examined:
    """A test image of ``width`` x ``height`` pixels and all that the exported model finds in it, however unsure."""

    annotation: Annotation
    width: int
    height: int
    findings: tuple[Finding, ...]

    def sides(self, finding: Finding) -> Sides:
        """Where a box that was found lies; all 0 without one."""
        box = finding.box
        if box is None:
            return (0.0, 0.0, 0.0, 0.0)
        return (box.left * self.width, box.top * self.height, box.width * self.width, box.height * self.height)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One label or object, by the labels' thresholds: there and found, taken for another, only found, or only there.

    ``true`` and ``said`` are labels, None where nothing is there, or nothing is said. ``confidence``: of what is said,
    or that of a missed label of the image; None of a missed object. ``sides``: where the object was found, or is;
    ``place``: which of the image's true objects it is.
    """

    verdict: Verdict
    true: str | None
    said: str | None
    confidence: float | None
    sides: Sides | None = None
    place: int | None = None


def claims_of(results: Sequence[Examined], labels: Sequence[str], kind: LabelKind) -> dict[str, Claims]:
    """Per label all that the model says of it, whatever the threshold."""
    confidences: dict[str, list[float]] = {name: [] for name in labels}
    right: dict[str, list[bool]] = {name: [] for name in labels}
    true = dict.fromkeys(labels, 0)
    for result in results:
        there = set(result.annotation.labels)
        for name, found in by_label(result.findings).items():
            confidences[name] += [item.confidence for item in found]
            if kind == "object-detection":
                right[name] += [index is not None for index in matches(result, name, found)]
            else:
                right[name] += [name in there] * len(found)
        for name in _truths(result.annotation, kind):
            if name in true:
                true[name] += 1
    return {name: claims(confidences[name], right[name], true[name]) for name in labels}


def _truths(annotation: Annotation, kind: LabelKind) -> Sequence[str]:
    """The label of every object, or each of the image's."""
    return [box.label for box in annotation.boxes or ()] if kind == "object-detection" else annotation.labels


def by_label(findings: Sequence[Finding]) -> dict[str, list[Finding]]:
    """Findings of each label that has any, in their order."""
    found: dict[str, list[Finding]] = {}
    for item in findings:
        found.setdefault(item.label, []).append(item)
    return found


def matches(result: Examined, name: str, found: Sequence[Finding]) -> list[int | None]:
    """Of boxes of one label, surest first, the true box of that label that each is, by its place among all."""
    places = [place for place, box in enumerate(result.annotation.boxes or ()) if box.label == name]
    true = [_sides(box) for place, box in enumerate(result.annotation.boxes or ()) if box.label == name]
    taken = match(_array([result.sides(item) for item in found]), _array(true))
    return [None if index is None else places[index] for index in taken]


def outcomes(result: Examined, thresholds: Mapping[str, float], kind: LabelKind) -> list[Outcome]:
    """What one image comes to; of labels that ``thresholds`` does not have nothing is said.

    Objects come as metrics count them: a box is right by the true box of its label that it overlaps by half, and only
    what is left of both may be an object taken for another. Exclusive labels: an image whose own label is not said was
    taken for the surest that is.
    """
    said = [item for item in result.findings if item.confidence >= thresholds[item.label]]
    if kind == "object-detection":
        return _objects(result, thresholds, said)
    there = [name for name in result.annotation.labels if name in thresholds]
    unsaid = [name for name in there if all(item.label != name for item in said)]
    known = {item.label: item.confidence for item in result.findings}
    found = [
        Outcome("right", item.label, item.label, item.confidence)
        if item.label in there
        else Outcome("false", None, item.label, item.confidence)
        for item in said
    ]
    if kind == "classification" and unsaid and said:
        (top, *_), (name, *_) = said, unsaid
        rest = [one for one in found if one.said != top.label]
        return [Outcome("confused", name, top.label, top.confidence), *rest]
    return found + [Outcome("missed", name, None, known.get(name, 0.0)) for name in unsaid]


def _objects(result: Examined, thresholds: Mapping[str, float], said: Sequence[Finding]) -> list[Outcome]:
    boxes = result.annotation.boxes or ()
    taken: dict[int, int] = {}  # of a finding, by its identity, the true box that it is
    for name, found in by_label(said).items():
        for item, place in zip(found, matches(result, name, found), strict=True):
            if place is not None:
                taken[id(item)] = place
    left = [place for place, box in enumerate(boxes) if place not in taken.values() and box.label in thresholds]
    wrong = [item for item in said if id(item) not in taken]
    others = match(_array([result.sides(item) for item in wrong]), _array([_sides(boxes[place]) for place in left]))
    confused = {id(item): left[index] for item, index in zip(wrong, others, strict=True) if index is not None}
    objects: list[Outcome] = []
    for item in said:
        place = taken.get(id(item), confused.get(id(item)))
        true = None if place is None else boxes[place].label
        verdict: Verdict = "right" if id(item) in taken else "false" if place is None else "confused"
        objects.append(Outcome(verdict, true, item.label, item.confidence, result.sides(item), place))
    missed = [place for place in left if place not in confused.values()]
    return objects + [Outcome("missed", boxes[i].label, None, None, _sides(boxes[i]), i) for i in missed]


def _sides(box: Boxed) -> Sides:
    return (box.left, box.top, box.width, box.height)


def _array(sides: Sequence[Sides]) -> Floats:
    return np.reshape(np.asarray(sides, np.float64), (-1, 4))
