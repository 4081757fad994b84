"""What a threshold record is, and what one would have done to the images that its version was tested on."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from vigia_contracts.base import ObjectRef, derived_id
from vigia_contracts.inspections import Verdict
from vigia_registry.thresholds.errors import BadThreshold
from vigia_vision import Manifest
from vigia_vision.intervals import clopper_pearson

#: Records that one version may have.
MOST_RECORDS: Final = 10_000
LONGEST_REASON: Final = 1000
_TRAINING: Final = "training"
_CHOSEN: Final = "Chosen by training."


class Source(StrEnum):
    """Who chose."""

    TRAINING = "training"
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class Limits:
    """From ``value`` on a score is anomalous; from ``review_low`` to below ``review_high`` a person decides instead."""

    value: float
    review_low: float | None = None
    review_high: float | None = None

    def check(self) -> None:
        """BadThreshold names the number that breaks a rule."""
        if not 0 < self.value < 1:
            raise BadThreshold("value", "it lies between 0 and 1, neither of them included")
        if (self.review_low is None) != (self.review_high is None):
            missing = "review_low" if self.review_low is None else "review_high"
            raise BadThreshold(missing, "a review band has both ends, or there is none")
        if self.review_low is None or self.review_high is None:
            return
        if not 0 <= self.review_low <= self.value:
            raise BadThreshold("review_low", "it lies between 0 and the value")
        if not self.value <= self.review_high <= 1:
            raise BadThreshold("review_high", "it lies between the value and 1")
        if self.review_low == self.review_high:
            raise BadThreshold("review_high", "no score lies in a band that ends where it begins")

    def verdict(self, score: float) -> Verdict:
        """What detection makes of the score."""
        if self.review_low is not None and self.review_high is not None and self.review_low <= score < self.review_high:
            return Verdict.REVIEW
        return Verdict.REJECT if score >= self.value else Verdict.PASS


class Rate(BaseModel):
    """``count`` of ``of`` images, and the 95 % interval (Clopper and Pearson's) of the rate they are a sample of."""

    model_config = ConfigDict(frozen=True)

    count: int
    of: int
    rate: float = Field(description="count / of")
    low: float = Field(description="lower end of the 95 % interval (Clopper and Pearson)")
    high: float = Field(description="upper end of it")

    @classmethod
    def among(cls, count: int, of: int) -> Rate | None:
        """None where there are no images to tell by."""
        if not of:
            return None
        low, high = clopper_pearson(count, of)
        return cls(count=count, of=of, rate=count / of, low=low, high=high)


class Prediction(BaseModel):
    """What limits make of the scores of the test images. Null where the test has no image of the class."""

    model_config = ConfigDict(frozen=True)

    false_rejects: Rate | None = Field(description="normal test images that would be REJECT")
    misses: Rate | None = Field(description="anomalous test images that would be PASS")
    reviewed_normal: Rate | None = Field(description="normal test images that would be REVIEW")
    reviewed_anomalous: Rate | None = Field(description="anomalous test images that would be REVIEW")
    evaluation: ObjectRef = Field(description="the evaluation manifest that the scores are from")


@dataclass(slots=True)
class Tally:
    """Counts what limits make of scores, one after the other."""

    limits: Limits
    normal: Counter[Verdict]
    anomalous: Counter[Verdict]

    @classmethod
    def of(cls, limits: Limits) -> Tally:
        """Nothing counted yet."""
        return cls(limits, Counter(), Counter())

    def add(self, score: float, anomalous: bool) -> None:
        """``anomalous``: what the image is."""
        (self.anomalous if anomalous else self.normal)[self.limits.verdict(score)] += 1

    def prediction(self, evaluation: ObjectRef) -> Prediction:
        """The rates of what was counted."""
        normal, anomalous = self.normal.total(), self.anomalous.total()
        return Prediction(
            false_rejects=Rate.among(self.normal[Verdict.REJECT], normal),
            misses=Rate.among(self.anomalous[Verdict.PASS], anomalous),
            reviewed_normal=Rate.among(self.normal[Verdict.REVIEW], normal),
            reviewed_anomalous=Rate.among(self.anomalous[Verdict.REVIEW], anomalous),
            evaluation=evaluation,
        )


@dataclass(frozen=True, slots=True)
class Record:
    """A threshold record. ``number`` counts from 1 within the version; ``threshold_id`` is what inspections name."""

    number: int
    threshold_id: UUID
    limits: Limits
    source: Source
    author: str
    reason: str
    predicted: Prediction | None
    created_at: datetime


def training_record(
    arn: str, manifest: dict[str, Any], trained_at: datetime, predicted: Prediction | None = None
) -> Record:
    """The first record of every version: what its artifact came with."""
    reported = Manifest.model_validate(manifest).threshold
    return Record(
        number=1,
        threshold_id=derived_id("threshold", arn, _TRAINING),
        limits=Limits(reported.value, reported.review_low, reported.review_high),
        source=Source.TRAINING,
        author=_TRAINING,
        reason=_CHOSEN,
        predicted=predicted,
        created_at=trained_at,
    )
