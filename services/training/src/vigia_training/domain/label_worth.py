"""Which test images of a model that gives labels are worth a look, and what is to be seen in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from vigia_training.domain.label_outcomes import Examined, Outcome, Sides, Verdict

Why = Literal["confused", "missed", "false", "closest call"]

#: Images shown for each reason, and what is shown of one image.
_SHOWN_EACH = 6
_MOST_MARKS = 40
#: What is drawn first where there is too much.
_ORDER: Sequence[Verdict] = ("missed", "confused", "false", "right")


@dataclass(frozen=True, slots=True)
class Mark:
    """An outcome in an image. ``box``: left, top, width and height as shares of its sides, of objects."""

    verdict: Verdict
    true: str | None
    said: str | None
    confidence: float | None
    box: Sides | None


@dataclass(frozen=True, slots=True)
class ShownLabels:
    """A test image that is worth a look. ``marks``: at most 40 of all that is wrong or right, wrong first."""

    why: Why
    uri: str
    wrong: int
    right: int
    marks: list[Mark]


def labels_worth_a_look(
    results: Sequence[Examined], judged: Sequence[Sequence[Outcome]], thresholds: Mapping[str, float]
) -> list[tuple[Examined, ShownLabels]]:
    """At most 24 images, each once: the surest confusions, most and clearest misses, the surest false answers, and
    images without errors whose answers were closest to the threshold."""
    pairs = list(zip(results, judged, strict=True))
    reasons: list[tuple[Why, Callable[[Sequence[Outcome]], float | None]]] = [
        ("confused", lambda found: _surest(found, "confused")),
        ("missed", _clearest_miss),
        ("false", lambda found: _surest(found, "false")),
        ("closest call", lambda found: _closest(found, thresholds)),
    ]
    chosen: dict[int, tuple[Examined, ShownLabels]] = {}
    for why, urgency in reasons:
        ranked = [(value, place) for place, (_, found) in enumerate(pairs) if (value := urgency(found)) is not None]
        ranked.sort(key=lambda pair: -pair[0])
        for place in [place for _, place in ranked if place not in chosen][:_SHOWN_EACH]:
            result, found = pairs[place]
            chosen[place] = (result, _shown(why, result, found))
    return list(chosen.values())


def _surest(found: Sequence[Outcome], verdict: Verdict) -> float | None:
    return max((one.confidence or 0.0 for one in found if one.verdict == verdict), default=None)


def _clearest_miss(found: Sequence[Outcome]) -> float | None:
    """More misses come first; of labels of images, which are hardly ever missed together, the least sure."""
    missed = [one for one in found if one.verdict == "missed"]
    return len(missed) - min(one.confidence or 0.0 for one in missed) if missed else None


def _closest(found: Sequence[Outcome], thresholds: Mapping[str, float]) -> float | None:
    if any(one.verdict != "right" for one in found):
        return None
    distances = [one.confidence - thresholds[one.said] for one in found if one.said and one.confidence is not None]
    return -min(distances) if distances else None


def _shown(why: Why, result: Examined, found: Sequence[Outcome]) -> ShownLabels:
    ordered = sorted(found, key=lambda one: (_ORDER.index(one.verdict), -(one.confidence or 0.0)))
    marks = []
    for one in ordered[:_MOST_MARKS]:
        box = None
        if one.sides is not None:
            left, top, width, height = one.sides
            box = (left / result.width, top / result.height, width / result.width, height / result.height)
        marks.append(Mark(one.verdict, one.true, one.said, one.confidence, box))
    right = sum(one.verdict == "right" for one in found)
    return ShownLabels(why, result.annotation.uri, len(found) - right, right, marks)
