"""What a model is: the artifact, decoding an image, preparing it, running the graph, reading its answer.

The only code in the product that does any of these. Training's evaluation, detection, hosting and the edge all call it,
so that the same image gives the same answer everywhere.
"""

from vigia_vision.artifact import Artifact, ArtifactError, GoldenSample, write_artifact
from vigia_vision.decode import DecodeError, ImageInfo, Limits, decode, probe
from vigia_vision.find import Box, Finding, find
from vigia_vision.interpret import Answer, FoundLabel, interpret, mask_png
from vigia_vision.manifest import Manifest
from vigia_vision.masks import MaskError, read_mask
from vigia_vision.prepare import Prepared, WrongSize, prepare
from vigia_vision.session import Session

__all__ = [
    "Answer",
    "Artifact",
    "ArtifactError",
    "Box",
    "DecodeError",
    "Finding",
    "FoundLabel",
    "GoldenSample",
    "ImageInfo",
    "Limits",
    "Manifest",
    "MaskError",
    "Prepared",
    "Session",
    "WrongSize",
    "decode",
    "find",
    "interpret",
    "mask_png",
    "prepare",
    "probe",
    "read_mask",
    "write_artifact",
]
