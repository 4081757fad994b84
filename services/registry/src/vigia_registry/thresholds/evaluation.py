"""The scores of a version's test images, from the evaluation manifest that training wrote."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from typing import Final

from vigia_contracts.base import ObjectRef
from vigia_registry.objects import stream
from vigia_registry.thresholds.domain import Limits, Prediction, Tally
from vigia_runtime.errors import AppError, Transient
from vigia_runtime.objects import ObjectStore
from vigia_vision.interpret import score_of

_LONGEST_LINE: Final = 32 * 1024


class UnknownScores(Exception):  # noqa: N818 - names what is missing
    """The scores cannot be had; the text says why."""


async def predict(
    objects: ObjectStore, evaluation: ObjectRef | None, trained: Limits, candidates: Sequence[Limits]
) -> list[Prediction]:
    """What each of ``candidates`` would have made of the test images; UnknownScores.

    ``trained``: the limits that the evaluation was made with. Reads the manifest once and holds a piece of it at a
    time. It lies in the customer's bucket: only what has the digest that training reported is believed.
    """
    if evaluation is None:
        raise UnknownScores("Training reported no evaluation.")
    tallies = [Tally.of(limits) for limits in candidates]
    try:
        async for line in _lines(objects, evaluation):
            score, anomalous = _scored(line, trained.value)
            for tally in tallies:
                tally.add(score, anomalous)
    except (AppError, Transient) as error:
        raise UnknownScores(f"The evaluation manifest cannot be read: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise _changed(evaluation) from error
    return [tally.prediction(evaluation) for tally in tallies]


async def _lines(objects: ObjectStore, evaluation: ObjectRef) -> AsyncIterator[bytes]:
    """The manifest's lines; UnknownScores, after the last one, where it is not what training wrote."""
    digest, size, rest = hashlib.sha256(), 0, b""
    async for chunk in stream(objects, evaluation):
        digest.update(chunk)
        size += len(chunk)
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > _LONGEST_LINE or (evaluation.size is not None and size > evaluation.size):
            raise _changed(evaluation)
        for line in lines:
            yield line
    if rest:
        yield rest
    if digest.hexdigest() != evaluation.sha256:
        raise _changed(evaluation)


def _scored(line: bytes, threshold: float) -> tuple[float, bool]:
    """Score and true class of one test image."""
    fields = json.loads(line)
    confidence = float(fields["anomaly-label-detected-metadata"]["confidence"])
    return score_of(confidence, bool(fields["anomaly-label-detected"]), threshold), bool(fields["anomaly-label"])


def _changed(evaluation: ObjectRef) -> UnknownScores:
    place = f"s3://{evaluation.bucket}/{evaluation.key}"
    return UnknownScores(f"The evaluation manifest {place} is not what training wrote.")
