"""What in the data makes an evaluation of labels less certain than its figures look, or is probably labelled wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from vigia_training.domain.annotations import Annotation
from vigia_training.domain.label_evaluated import LabelsEvaluated
from vigia_training.domain.label_metrics import Claims
from vigia_training.domain.label_outcomes import Outcome
from vigia_training.domain.scale import TINY
from vigia_training.domain.suspicions import (
    FEW_OF_LABEL,
    TELLING,
    DataWarning,
    Kind,
    about,
    few_parts,
    listed,
    notes_of,
    same_content,
)
from vigia_vision.manifest import LabelKind

#: A label with this share of the images of the most frequent one is learnt less well than that.
_RARE = 0.1
_FEW_PARTS = 5
#: Ratios of the largest to the smallest, of images' sides and of their shapes, from which on they are mixed.
_SCALES = 2.0
_SHAPES = 1.5

Outcomes = Sequence[Sequence[Outcome]]


def label_suspicions(given: LabelsEvaluated, judged: Outcomes, found: Mapping[str, Claims]) -> list[DataWarning]:
    """All there is to say, the gravest first. ``judged``: outcomes of each test image; ``found``: claims by label."""
    return [
        *notes_of(given.notes),
        *same_content(
            [(one.uri, _said_of(one, given.kind)) for one in given.learn],
            [(one.annotation.uri, _said_of(one.annotation, given.kind)) for one in given.results],
            given.digests,
            "Images with the same content are labelled differently.",
        ),
        *_mislabelled(given, judged, found),
        *_unknown(given),
        *_few(given),
        *few_parts([one.uri for one in given.learn], [one.annotation.uri for one in given.results], given.parts),
        *_mixed(given),
        *(_tiny(given) if given.kind == "object-detection" else ()),
    ]


def _said_of(one: Annotation, kind: LabelKind) -> Hashable:
    return frozenset(one.boxes or ()) if kind == "object-detection" else frozenset(one.labels)


def _mislabelled(given: LabelsEvaluated, judged: Outcomes, found: Mapping[str, Claims]) -> list[DataWarning]:
    """False answers as sure as most right ones; and labels of images that are as unsure as most absent ones."""
    sure = {name: _middle(one, True) for name, one in found.items()}
    unsure = {name: _middle(one, False) for name, one in found.items()}
    false: list[tuple[float, str]] = []
    missed: list[tuple[float, str]] = []
    for result, outcome in zip(given.results, judged, strict=True):
        uri = result.annotation.uri
        told = {item.label: item.confidence for item in result.findings}
        for one in outcome:
            limit = sure[one.said] if one.said and one.verdict in ("false", "confused") else None
            if limit is not None and one.confidence is not None and one.confidence >= limit:
                false.append((-one.confidence, uri))
            if one.true and one.verdict in ("missed", "confused") and given.kind != "object-detection":
                limit, confidence = unsure[one.true], told.get(one.true, 0.0)
                if limit is not None and confidence <= limit:
                    missed.append((confidence, uri))
    thing = (
        "an object that nobody marked, or marked as something else" if given.kind == "object-detection" else "a label"
    )
    return [
        *_ranked(
            false,
            f"Test images in which the model is as sure of {thing} as it is of most that are there. "
            "Look at them: either the model is wrong, or a label is wrong or missing.",
        ),
        *_ranked(
            missed,
            "Test images with a label that the model sees as little of as in most images without it. "
            "Look at them: either the model is blind to what they show, or the label is wrong.",
        ),
    ]


def _middle(found: Claims, right: bool) -> float | None:
    """The middle confidence of claims that are right, or are not; None where there are too few to tell."""
    values = found.confidences[found.right == right]
    return float(np.median(values)) if len(values) >= TELLING else None


def _ranked(suspects: Sequence[tuple[float, str]], message: str) -> list[DataWarning]:
    return about("mislabel_suspect", message, list(dict.fromkeys(uri for _, uri in sorted(suspects))))


def _unknown(given: LabelsEvaluated) -> list[DataWarning]:
    tested = Counter(name for one in given.results for name in one.annotation.names(given.kind))
    names = sorted(name for name in tested if name not in given.thresholds)
    if not names:
        return []
    message = f"Labels of test images that no training image has, and the model cannot know: {listed(names)}."
    return [DataWarning("unknown_label", message, len(names), [])]


def _few(given: LabelsEvaluated) -> list[DataWarning]:
    taught: Counter[str] = Counter()
    parts: dict[str, set[int]] = {name: set() for name in given.thresholds}
    for one in given.learn:
        for name in given.taught(one):
            taught[name] += 1
            parts[name].add(given.parts[one.uri])
    tested = Counter(name for one in given.results for name in one.annotation.names(given.kind))
    most = max(taught.values(), default=0)

    def named(counts: Mapping[str, int], kind: Kind, message: str) -> list[DataWarning]:
        names = [f"{name} ({count})" for name, count in sorted(counts.items(), key=lambda item: (item[1], item[0]))]
        return [DataWarning(kind, f"{message}: {listed(names)}.", len(names), [])] if names else []

    known = given.thresholds
    return [
        *named(
            {name: tested[name] for name in known if tested[name] < FEW_OF_LABEL},
            "few_images",
            f"Labels in fewer than {FEW_OF_LABEL} test images, whose figures say little",
        ),
        *named(
            {name: taught[name] for name in known if taught[name] < FEW_OF_LABEL},
            "few_images",
            f"Labels in fewer than {FEW_OF_LABEL} training images",
        ),
        *named(
            {name: taught[name] for name in known if FEW_OF_LABEL <= taught[name] <= _RARE * most},
            "few_images",
            f"Labels with a tenth of the training images that the most frequent one has ({most}), or less",
        ),
        *named(
            {
                name: len(parts[name])
                for name in known
                if len(parts[name]) < _FEW_PARTS and taught[name] >= FEW_OF_LABEL
            },
            "few_parts",
            f"Labels whose training images show fewer than {_FEW_PARTS} parts, by part id or as near-duplicates",
        ),
    ]


def _mixed(given: LabelsEvaluated) -> list[DataWarning]:
    # Logos alone are small beside the scenes in which they are to be found.
    of = [one.uri for one in given.learn if one.boxes is not None or given.kind != "object-detection"]
    of += [result.annotation.uri for result in given.results]
    sizes = sorted({given.sizes[uri] for uri in of}, key=lambda size: (size[0] * size[1], size))
    shapes = [width / height for width, height in sizes]
    (small_wide, small_high), (large_wide, large_high) = sizes[0], sizes[-1]
    scales = (large_wide * large_high / (small_wide * small_high)) ** 0.5
    if scales < _SCALES and max(shapes) / min(shapes) < _SHAPES:
        return []
    message = (
        f"The images have {len(sizes)} sizes, from {small_wide}x{small_high} to {large_wide}x{large_high} pixels: the "
        "model sees the same thing in different sizes or shapes, and figures hold for this mixture."
    )
    return [DataWarning("mixed_sizes", message, len(sizes), [])]


def _tiny(given: LabelsEvaluated) -> list[DataWarning]:
    objects, uris = 0, []
    for result in given.results:
        across, down = given.scale(result.width, result.height)
        boxes = result.annotation.boxes or ()
        count = sum(min(box.width * across, box.height * down) < TINY for box in boxes)
        objects += count
        if count:
            uris.append(result.annotation.uri)
    message = (
        f"Test images with objects whose shorter side has fewer than {TINY:g} pixels at the model's resolution, which "
        f"it hardly sees ({objects} objects): photograph a smaller field."
    )
    return about("tiny_objects", message, uris)
