"""What a trial detection is, what became of its images, and how both may change."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal
from uuid import UUID

from vigia_registry.projects.domain import prefix_for

AnomalyClass = Literal["normal", "anomaly"]


class TrialState(StrEnum):
    CREATED = "created"  # waits for its images
    IN_PROGRESS = "in_progress"
    COMPLETE = "complete"  # every image is judged, or known to be unusable
    FAILED = "failed"


class SourceKind(StrEnum):
    """Where a trial's images come from."""

    FOLDER = "folder"  # what lay below a prefix when the trial was created
    IMAGES = "images"  # a list of objects
    UPLOAD = "upload"


class ImageState(StrEnum):
    WAITING = "waiting"
    JUDGED = "judged"
    FAILED = "failed"


class ImageError(StrEnum):
    """Why an image could not be judged."""

    MISSING = "missing"
    DENIED = "denied"
    TOO_LARGE = "too_large"
    UNDECODABLE = "undecodable"
    WRONG_SIZE = "wrong_size"
    MODEL_ERROR = "model_error"


class Verification(StrEnum):
    """What a person says about a prediction."""

    UNVERIFIED = "unverified"
    CORRECT = "correct"
    INCORRECT = "incorrect"


#: What failed may be started again: images that were judged stay judged.
TRANSITIONS: Final[dict[TrialState, frozenset[TrialState]]] = {
    TrialState.CREATED: frozenset({TrialState.IN_PROGRESS}),
    TrialState.IN_PROGRESS: frozenset({TrialState.COMPLETE, TrialState.FAILED}),
    TrialState.COMPLETE: frozenset(),
    TrialState.FAILED: frozenset({TrialState.IN_PROGRESS}),
}

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._\-]+")


@dataclass(frozen=True, slots=True)
class Label:
    """An anomaly label and its colour in masks, ``#RRGGBB``."""

    name: str
    color: str


@dataclass(frozen=True, slots=True)
class Area:
    """A label that the model found; ``area`` is its share of the image's pixels."""

    name: str
    area: float
    color: str


@dataclass(frozen=True, slots=True)
class Source:
    """Where the images lie: one bucket, for a folder below ``prefix``."""

    kind: SourceKind
    bucket: str
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class TrialRequest:
    """What is asked for when a trial is created."""

    name: str
    source: Source
    kms_key_id: str | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial as it is stored. ``labels``: the model's, then what people added; none for classification."""

    id: UUID
    project_id: UUID
    project: str
    account_id: str
    model_version_id: UUID | None
    model_version: int
    name: str
    source: Source
    kms_key_id: str | None
    labels: tuple[Label, ...]
    state: TrialState
    status_message: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None

    @property
    def prefix(self) -> str:
        """Where in the dataset bucket everything of the trial lies: it goes with its project."""
        return f"{prefix_for(self.account_id, self.project_id)}trials/{self.id}/"

    def mask_key(self, number: int) -> str:
        """The mask that the model gave for an image."""
        return f"{self.prefix}masks/{number:05d}.png"

    def corrected_mask_key(self, number: int) -> str:
        """The mask that a person gave for an image."""
        return f"{self.prefix}corrected/{number:05d}.png"


@dataclass(frozen=True, slots=True)
class TrialCounts:
    """How many images a trial has, and what became of them. ``unverified`` are judged ones."""

    images: int = 0
    waiting: int = 0
    judged: int = 0
    failed: int = 0
    normal: int = 0
    anomaly: int = 0
    unverified: int = 0
    correct: int = 0
    incorrect: int = 0
    added: int = 0


@dataclass(frozen=True, slots=True)
class TrialView:
    """A trial and its counts."""

    trial: Trial
    counts: TrialCounts


@dataclass(frozen=True, slots=True)
class TrialImage:
    """An image of a trial. ``number`` counts from 1 within it.

    ``confidence`` is confidence in ``prediction``; ``corrected_labels`` are those of a corrected mask, None without
    one; ``verified_at`` is when the verification last changed; ``added``: the dataset has it.
    """

    number: int
    name: str
    key: str
    state: ImageState
    error: ImageError | None
    detail: str | None
    width: int | None
    height: int | None
    prediction: AnomalyClass | None
    confidence: float | None
    score: float | None
    areas: tuple[Area, ...]
    verification: Verification
    corrected_class: AnomalyClass | None
    corrected_labels: tuple[str, ...] | None
    verified_at: datetime | None
    added: bool

    @property
    def true_class(self) -> AnomalyClass | None:
        """What the image is, by a person's word; None while nobody has verified it."""
        if self.verification is Verification.UNVERIFIED:
            return None
        return self.prediction if self.verification is Verification.CORRECT else self.corrected_class


@dataclass(frozen=True, slots=True)
class Judged:
    """What the model says about one image of ``width`` x ``height`` pixels. ``mask``: PNG, where it found labels."""

    prediction: AnomalyClass
    confidence: float
    score: float
    areas: tuple[Area, ...]
    width: int
    height: int
    mask: bytes | None


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why one image could not be judged."""

    error: ImageError
    detail: str


class Order(StrEnum):
    """How images are listed. Without a confidence, an image comes last."""

    NUMBER = "number"
    CONFIDENCE = "confidence"  # least sure first
    CONFIDENCE_DESCENDING = "-confidence"


@dataclass(frozen=True, slots=True)
class ImageFilter:
    """Which images a list shows; None means all. ``label``: found by the model, or in the corrected mask."""

    state: ImageState | None = None
    prediction: AnomalyClass | None = None
    verification: Verification | None = None
    label: str | None = None

    def scope(self) -> list[str | None]:
        """The filter as text, for page tokens."""
        return [self.state, self.prediction, self.verification, self.label]


def opposite(name: AnomalyClass) -> AnomalyClass:
    """The other class."""
    return "normal" if name == "anomaly" else "anomaly"


def safe_name(name: str) -> str:
    """A file's name as part of an object's key: at most its last 100 characters, others than letters, digits, . _ -
    replaced."""
    return _UNSAFE.sub("_", name.rpartition("/")[2])[-100:]
