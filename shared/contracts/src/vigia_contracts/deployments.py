"""Deployments: which model version decides, and how to ask it. Compacted by key: a camera id or a model ARN.

A record under a camera's id says what judges that camera; one under a model's ARN says how to ask that version
(for DetectAnomalies). A tombstone (no value) means that nothing is hosted under the key.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vigia_contracts.base import ObjectRef, Payload, UtcTime

DEPLOYMENT_CHANGED = "vigia.deployment.changed.v1"


class ThresholdRecord(Payload):
    """From which score a part is anomalous. Versioned apart from the weights.

    ``review_low <= score < review_high`` gives REVIEW, where both are set; the class and its confidence are still
    computed from ``value``.
    """

    threshold_id: str
    value: float
    review_low: float | None = None
    review_high: float | None = None
    author: str = "training"
    reason: str = ""
    created_at: UtcTime


class Deployment(Payload):
    """A version that serves. ``manifest`` is the artifact's manifest.json as written by training."""

    account_id: str
    region: str
    project: str
    model_arn: str
    model_version: str
    triton_model: str = Field(description="name in Triton; contains the version, never reused for other files")
    artifact: ObjectRef | None = Field(default=None, description="the artifact's manifest.json")
    manifest: dict[str, object] = Field(description="vigia_vision.manifest.Manifest as JSON")
    threshold: ThresholdRecord
    tags: dict[str, str] = Field(default_factory=dict, description="the version's tags, for policies that ask for them")
    state: Literal["serving", "draining"] = "serving"
    revision: int = Field(ge=1, description="grows with every change of the record under its key")
    changed_at: UtcTime
