"""The manifest of a model artifact: what the graph takes, what it gives, and how its numbers become a decision."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

FORMAT: Final = "vigia-model/1"
PREPARATION: Final = "squash-area/1"
SCALED: Final = "squash-area/2"
LETTERBOX: Final = "letterbox-area/1"
BACKGROUND_NAME = "background"
BACKGROUND_COLOR = "#FFFFFF"

AnomalyKind = Literal["anomaly-classification", "anomaly-segmentation"]
LabelKind = Literal["classification", "multilabel-classification", "object-detection"]
Kind = Literal[AnomalyKind, LabelKind]
Color = Annotated[str, StringConstraints(pattern=r"^#[0-9A-Fa-f]{6}$", to_upper=True)]
#: A file inside the artifact: relative, forward slashes, no way up.
FileName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_\-][A-Za-z0-9_.\-]*(/[A-Za-z0-9_\-][A-Za-z0-9_.\-]*)*$")
]
Share = Annotated[float, Field(ge=0, le=1)]


class _Part(BaseModel):
    """Frozen; unknown fields are ignored, so that a newer writer may add optional ones within a format."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=(), allow_inf_nan=False)


class Label(_Part):
    """One label, as the customer's dataset names and (of anomalies) colours it."""

    name: str = Field(min_length=1)
    color: Color


class InputContract(_Part):
    """What an image must be and what the graph takes.

    ``image_width`` and ``image_height`` are the pixels that an image must have, or with ``any_size`` those of the
    largest it was trained on; ``width`` and ``height`` those of the tensor, uint8 ``[N, height, width, 3]`` RGB, which
    ``preparation`` makes of it.
    """

    tensor: str = "image"
    width: int = Field(ge=1)
    height: int = Field(ge=1)
    image_width: int = Field(ge=1)
    image_height: int = Field(ge=1)
    any_size: bool = False
    preparation: Literal["squash-area/1", "squash-area/2", "letterbox-area/1"] = PREPARATION


class TensorSpec(_Part):
    """One output of the graph. ``shape`` has -1 for the batch axis, which is the first."""

    name: str
    dtype: Literal["float32"] = "float32"
    shape: tuple[int, ...]


class Threshold(_Part):
    """From which score an image is anomalous; with both review bounds set, between them a person decides."""

    value: Share
    review_low: Share | None = None
    review_high: Share | None = None


class Decision(_Part):
    """Rules per label. ``pixel_thresholds``: from which value of its map a pixel belongs to it; ``label_thresholds``:
    from which confidence a label or a box of it is found, where the caller does not say.
    """

    pixel_thresholds: tuple[Share, ...] = ()
    label_thresholds: tuple[Share, ...] = ()


class FileDigest(_Part):
    """Content of one file of the artifact; ``size`` in bytes."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(ge=0)


class Golden(_Part):
    """One image with the answer that the graph must give. ``outputs`` names a .npy file per output, without batch axis.

    ``tolerance`` is the largest allowed absolute difference of any number: devices round differently.
    """

    file: FileName
    outputs: dict[str, FileName]
    is_anomalous: bool
    tolerance: float = Field(default=0.02, gt=0)


class Manifest(_Part):
    """``manifest.json`` of an artifact. ``labels`` never have the background among them.

    Outputs, all float32. Of every kind ``score`` ``[N, 1]`` in 0..1: how anomalous, or of the kinds that give labels
    the highest confidence of any. ``anomaly-segmentation``: ``maps`` ``[N, labels, h, w]`` in 0..1, the probability of
    each label on a coarse grid over the whole image. ``classification``, ``multilabel-classification``:
    ``confidences`` ``[N, labels]`` in 0..1, of the former summing to 1. ``object-detection``: ``boxes`` ``[N, K, 4]``
    (left, top, right, bottom as shares of the tensor's sides), their confidences ``scores`` and ``classes`` (indices
    of labels) ``[N, K]``, by falling score; unused places are zero.
    """

    format: Literal["vigia-model/1"] = FORMAT
    kind: Kind
    labels: tuple[Label, ...] = ()
    input: InputContract
    outputs: tuple[TensorSpec, ...]
    threshold: Threshold
    decision: Decision = Decision()
    golden: tuple[Golden, ...] = ()
    files: dict[FileName, FileDigest] = Field(default_factory=dict)
    metrics: dict[str, float] = Field(default_factory=dict)
    provenance: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> Manifest:
        shapes = {output.name: output.shape for output in self.outputs}
        if shapes.get("score") != (-1, 1):
            raise ValueError("a model needs the output score [-1, 1]")
        if self.kind == "anomaly-classification":
            if self.labels or "maps" in shapes:
                raise ValueError("a classification model has neither labels nor maps")
            return self
        if not self.labels or len({label.name for label in self.labels}) != len(self.labels):
            raise ValueError(f"a model of the kind {self.kind} needs labels with different names")
        if self.kind == "anomaly-segmentation":
            maps = shapes.get("maps", ())
            if len(maps) != 4 or maps[0] != -1 or maps[1] != len(self.labels):
                raise ValueError("a segmentation model needs the output maps [-1, labels, h, w]")
            if len(self.decision.pixel_thresholds) != len(self.labels):
                raise ValueError("a segmentation model needs one pixel threshold per label")
            return self
        if len(self.decision.label_thresholds) != len(self.labels):
            raise ValueError(f"a model of the kind {self.kind} needs one threshold per label")
        if self.kind == "object-detection":
            boxes = shapes.get("boxes", ())
            if len(boxes) != 3 or (boxes[0], boxes[2]) != (-1, 4):
                raise ValueError("a detection model needs the output boxes [-1, K, 4]")
            if shapes.get("scores") != boxes[:2] or shapes.get("classes") != boxes[:2]:
                raise ValueError("a detection model needs the outputs scores and classes [-1, K]")
        elif shapes.get("confidences") != (-1, len(self.labels)):
            raise ValueError("a classification model needs the output confidences [-1, labels]")
        return self

    def to_json(self) -> bytes:
        """The file's bytes; the same manifest always gives the same bytes."""
        return self.model_dump_json(indent=1).encode()
