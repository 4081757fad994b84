"""What a person says of a trial's predictions: correct, incorrect, what the image is, where its anomalies are."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

import numpy as np
from sqlalchemy.ext.asyncio import AsyncSession

from vigia_registry.identity.domain import Owner
from vigia_registry.trials import repository, service
from vigia_registry.trials.domain import AnomalyClass, ImageState, Label, Trial, TrialImage, Verification, opposite
from vigia_registry.trials.errors import BadMask, BadTrial, NotJudged
from vigia_runtime.objects import ObjectStore
from vigia_vision.decode import Pixels
from vigia_vision.manifest import BACKGROUND_COLOR, BACKGROUND_NAME
from vigia_vision.masks import MaskError, draw_mask, read_mask, rgb_of


async def verify(
    session: AsyncSession,
    owner: Owner,
    trial_id: UUID,
    numbers: Sequence[int],
    verification: Verification,
    corrected_class: AnomalyClass | None,
) -> list[TrialImage]:
    """Say of images whether their predictions are right; the images as they are now.

    What is incorrect is of ``corrected_class``, without one of the other class. To say that the class is right and
    the mask wrong, give the predicted class, and ``correct_mask`` afterwards. A mask given before is forgotten.
    TrialNotFound, ImageNotFound, NotJudged, BadTrial.
    """
    if corrected_class is not None and verification is not Verification.INCORRECT:
        raise BadTrial("body.corrected_class", "belongs to an incorrect prediction")
    trial = await service.lock(session, owner, trial_id)
    images = await service.images(session, trial, numbers)
    unjudged = [image.number for image in images if image.state is not ImageState.JUDGED]
    if unjudged:
        raise NotJudged(unjudged)
    if verification is not Verification.INCORRECT:
        await repository.verify(session, trial.id, numbers, verification, None, None)
    else:
        for predicted in ("normal", "anomaly"):
            chosen = [image.number for image in images if image.prediction == predicted]
            real = corrected_class or opposite(predicted)
            if chosen and real == predicted and not (trial.labels and predicted == "anomaly"):
                raise BadTrial(
                    "body.corrected_class", f"image {chosen[0]} is predicted {predicted}: that is correct, or it is not"
                )
            await repository.verify(session, trial.id, chosen, verification, real, None)
    return await service.images(session, trial, numbers)


async def correct_mask(
    session: AsyncSession, objects: ObjectStore, bucket: str, owner: Owner, trial_id: UUID, number: int, data: bytes
) -> TrialImage:
    """Replace the mask of an image: its prediction is incorrect, and it is anomalous where ``data`` says.

    ``data`` is a PNG of the image's size, labels in their colours on white or transparent ground; it goes to
    ``bucket``. TrialNotFound, ImageNotFound, NotJudged, BadMask.
    """
    trial = await service.lock(session, owner, trial_id)
    image = await service.image(session, trial, number)
    if image.width is None or image.height is None:
        raise NotJudged([number])
    if not trial.labels:
        raise BadMask("The model of this trial classifies whole images; it has no anomaly labels to draw.")
    index = await asyncio.to_thread(_read, data, trial.labels, image.width, image.height)
    found = np.unique(index[index > 0]).tolist()
    if not found:
        raise BadMask("The mask is all background. Say that the image is normal instead.")
    # Drawn anew, as masks of the model are: RGB on white, whatever the kind of PNG that came.
    drawn = await asyncio.to_thread(draw_mask, index, [BACKGROUND_COLOR, *(label.color for label in trial.labels)])
    await objects.put(bucket, trial.corrected_mask_key(number), drawn, "image/png", service.seal_of(trial))
    labels = [trial.labels[value - 1].name for value in found]
    await repository.verify(session, trial.id, [number], Verification.INCORRECT, "anomaly", labels)
    return await service.image(session, trial, number)


async def add_label(session: AsyncSession, owner: Owner, trial_id: UUID, label: Label, most: int) -> Trial:
    """A further label that corrected masks may have, ``most`` in all; the model learns it when it is trained again.

    TrialNotFound, BadTrial.
    """
    trial = await service.lock(session, owner, trial_id)
    if not trial.labels:
        raise BadTrial("body.name", "the model of this trial classifies whole images; there are no masks to label")
    if label.name.lower() == BACKGROUND_NAME or label.name in {known.name for known in trial.labels}:
        raise BadTrial("body.name", f"{label.name} is there already")
    if label.color in {BACKGROUND_COLOR, *(known.color for known in trial.labels)}:
        raise BadTrial("body.color", f"{label.color} stands for something else already")
    if len(trial.labels) >= most:
        raise BadTrial("body.name", f"there are {most} labels, the most there may be")
    await repository.set_labels(session, trial.id, (*trial.labels, label))
    return await service.find(session, owner, trial_id)


def _read(data: bytes, labels: Sequence[Label], width: int, height: int) -> Pixels:
    colors = {rgb_of(BACKGROUND_COLOR): 0}
    colors |= {rgb_of(label.color): place for place, label in enumerate(labels, start=1)}
    try:
        return read_mask(data, colors, width, height)
    except MaskError as error:
        raise BadMask(f"The mask cannot be used: {error}.") from error
