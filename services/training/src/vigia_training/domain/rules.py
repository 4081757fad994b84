"""What is wrong with the manifests of Custom Labels as a whole, and which model they ask for.

Of a manifest with too many invalid lines, or with images that cannot be read, the use case is not determined. What
labels there are is asked of lines that can be used.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from vigia_training.domain.annotations import Annotation, kind_of, usable
from vigia_training.domain.given import Given, ManifestLimits
from vigia_vision.manifest import LabelKind

UseCase = Literal["IMAGE_LEVEL_LABELS", "OBJECT_LOCALIZATION", "NOT_DETERMINED"]

TOO_MANY_INVALID_ROWS = "ERROR_TOO_MANY_INVALID_ROWS_IN_MANIFEST"
TOO_MANY_ROWS = "ERROR_MANIFEST_ROWS_EXCEEDS_MAXIMUM"
TOO_MANY_RECORDS = "ERROR_TOO_MANY_RECORDS_IN_ERROR"
SEVERAL_BUCKETS = "ERROR_IMAGES_IN_MULTIPLE_S3_BUCKETS"
NO_PERMISSION = "ERROR_INVALID_PERMISSIONS_IMAGES_S3_BUCKET"
NO_COPY = "ERROR_FAILED_IMAGES_S3_COPY"
NO_AUTOSPLIT = "ERROR_INSUFFICIENT_IMAGES_PER_LABEL_FOR_AUTOSPLIT"
TOO_FEW_LABELS = "ERROR_MANIFEST_TOO_FEW_LABELS"
TOO_MANY_LABELS = "ERROR_MANIFEST_TOO_MANY_LABELS"
TOO_FEW_USABLE = "ERROR_MANIFEST_TOO_FEW_USABLE_LABELS"
OVERLAP = "ERROR_INSUFFICIENT_LABEL_OVERLAP"
USABLE_OVERLAP = "ERROR_INSUFFICIENT_USABLE_LABEL_OVERLAP"
#: The service had the limit, and no code.
TOO_MANY_TESTS = "ERROR_TOO_MANY_IMAGES_PER_LABEL"

#: Of all lines, so large a share may be invalid; of the training labels, at least that share is to be tested.
MOST_INVALID = 0.2
LEAST_OVERLAP = 0.5

_MESSAGES = {
    TOO_MANY_INVALID_ROWS: "The manifest file contains too many invalid rows.",
    TOO_MANY_ROWS: "The manifest file has too many rows.",
    TOO_MANY_RECORDS: "The manifest file has too many terminal errors.",
    SEVERAL_BUCKETS: "The manifest file contains images from multiple S3 buckets.",
    NO_PERMISSION: "The permissions for the images S3 bucket are invalid.",
    NO_COPY: "Failed to copy images from S3 bucket.",
    NO_AUTOSPLIT: "The manifest file contains insufficient labeled images per label to perform auto-split.",
    TOO_FEW_LABELS: "The manifest file has too few labels.",
    TOO_MANY_LABELS: "The manifest file has too many labels.",
    TOO_FEW_USABLE: "The manifest file has too few usable labels.",
    OVERLAP: "Less than {}% label overlap between the training and testing manifest files.",
    USABLE_OVERLAP: "Less than {}% usable label overlap between the training and testing manifest files.",
    TOO_MANY_TESTS: "The manifest file has too many images of a label.",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """A terminal error of a manifest's content."""

    code: str

    @property
    def message(self) -> str:
        return _MESSAGES[self.code].replace("{}", f"{LEAST_OVERLAP:.0%}".rstrip("%"))


@dataclass(frozen=True, slots=True)
class UseCases:
    """What is learnt. ``logos``: from images that show one logo each, which is to be found in the test images."""

    kind: LabelKind
    logos: bool = False

    @property
    def training(self) -> UseCase:
        return "OBJECT_LOCALIZATION" if self.kind == "object-detection" and not self.logos else "IMAGE_LEVEL_LABELS"

    @property
    def testing(self) -> UseCase:
        return "OBJECT_LOCALIZATION" if self.kind == "object-detection" else "IMAGE_LEVEL_LABELS"

    def learnable(self, annotations: Sequence[Annotation]) -> list[Annotation]:
        """Training images with labels of the kind learnt from."""
        return usable(annotations, "classification" if self.logos else self.kind)

    def taught(self, annotations: Iterable[Annotation]) -> set[str]:
        """Labels that training images teach."""
        return {name for one in annotations for name in one.names("classification" if self.logos else self.kind)}

    def tested(self, annotations: Iterable[Annotation]) -> set[str]:
        return {name for one in annotations for name in one.names(self.kind)}

    @property
    def least_labels(self) -> int:
        return 1 if self.kind == "object-detection" else 2


def use_cases(training: Sequence[Annotation], testing: Sequence[Annotation] | None) -> UseCases:
    """Which model valid lines ask for: by what most training images have, boxes before labels.

    Training images with one label each, and test images that mostly have boxes, are logos and the scenes they are in.
    """
    kind = kind_of(training)
    one_each = kind == "classification" and all(len(one.labels) == 1 and not one.boxes for one in training)
    logos = bool(training) and one_each and testing is not None and kind_of(testing) == "object-detection"
    return UseCases("object-detection", True) if logos else UseCases(kind)


def faults_of_lines(given: Given, limits: ManifestLimits, unread: int = 0, denied: int = 0) -> list[Fault]:
    """What is wrong with a manifest whatever it is for.

    ``unread`` of its valid lines have images that could not be got at all, ``denied`` of these for want of permission.
    Where that is every one of them it is the bucket's fault, not the lines'.
    """
    tried = len(given.valid)
    faults = [Fault(TOO_MANY_ROWS)] if given.overfull else []
    if len(given.buckets) > 1:
        faults.append(Fault(SEVERAL_BUCKETS))
    invalid = len(given.invalid)
    if tried and unread == tried:
        faults.append(Fault(NO_PERMISSION if denied == unread else NO_COPY))
        invalid -= unread
    if invalid > MOST_INVALID * given.total:
        faults.append(Fault(TOO_MANY_INVALID_ROWS))
        if given.terminal > MOST_INVALID * given.total:
            faults.append(Fault(TOO_MANY_RECORDS))
    return faults


def faults_of_labels(
    annotations: Sequence[Annotation], names: set[str], cases: UseCases, limits: ManifestLimits
) -> list[Fault]:
    """What is wrong with the labels of one manifest's valid lines; ``names`` are the usable ones."""
    every = _every(annotations)
    if len(every) > limits.labels:
        return [Fault(TOO_MANY_LABELS)]
    if len(every) < cases.least_labels:
        return [Fault(TOO_FEW_LABELS)]
    return [Fault(TOO_FEW_USABLE)] if len(names) < cases.least_labels else []


def faults_of_both(
    training: Sequence[Annotation], testing: Sequence[Annotation], taught: set[str], tested: set[str]
) -> list[Fault]:
    """What is wrong between two manifests: too few of the training labels are tested."""
    if not _overlap(_every(training), _every(testing)):
        return [Fault(OVERLAP)]
    return [] if _overlap(taught, tested) else [Fault(USABLE_OVERLAP)]


def faults_of_tests(testing: Iterable[Annotation], cases: UseCases, limits: ManifestLimits) -> list[Fault]:
    """What is wrong with how many images of a test manifest have the same label."""
    counts = Counter(name for one in testing for name in set(one.names(cases.kind)))
    return [Fault(TOO_MANY_TESTS)] if any(count > limits.tests_of_label for count in counts.values()) else []


def fault_of_split(taught: set[str], tested: set[str], cases: UseCases) -> list[Fault]:
    """What is wrong where images to test with were set apart."""
    enough = len(tested) >= cases.least_labels and _overlap(taught, tested)
    return [] if enough else [Fault(NO_AUTOSPLIT)]


def _overlap(taught: set[str], tested: set[str]) -> bool:
    return len(taught & tested) >= LEAST_OVERLAP * len(taught)


def _every(annotations: Iterable[Annotation]) -> set[str]:
    """All labels, whatever they are labels of."""
    return {name for one in annotations for name in (*one.labels, *(box.label for box in one.boxes or ()))}


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the summary says of one manifest; ``indices``: lines with errors, from 1, as its validation has them."""

    use_case: UseCase
    total: int
    invalid: int
    ignored: int
    indices: Sequence[int]
    faults: Sequence[Fault] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "use_case": self.use_case,
            "total_json_lines": self.total,
            "valid_json_lines": self.total - self.invalid - self.ignored,
            "invalid_json_lines": self.invalid,
            "ignored_json_lines": self.ignored,
            "error_json_line_indices": list(self.indices),
            "errors": _listed(self.faults),
        }


def manifest_summary(training: Statistics, testing: Statistics, both: Sequence[Fault]) -> bytes:
    """The summary as one JSON document; ``both``: what is wrong between the two."""
    statistics = {"training": training.to_json(), "testing": testing.to_json()}
    return json.dumps({"statistics": statistics, "errors": _listed(both)}, indent=2).encode()


def told(faults: Iterable[Fault]) -> str:
    """What is said of a training that failed for them. What always comes with another is not said twice."""
    return " ".join(dict.fromkeys(fault.message for fault in faults if fault.code != TOO_MANY_RECORDS))


def _listed(faults: Sequence[Fault]) -> list[dict[str, str]]:
    return [{"code": fault.code, "message": fault.message} for fault in faults]
