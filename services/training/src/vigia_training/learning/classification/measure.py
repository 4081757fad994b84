"""How well a classifier's confidences tell labels apart, as numbers that are the better the higher."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

Floats = NDArray[np.float32]


def measures(confidences: Floats, labels: Floats, exclusive: bool) -> dict[str, float]:
    """Of ``confidences`` and true ``labels`` (0 and 1), both ``[N, L]``.

    Mean area under the ROC curve over the labels that some images have and some have not, where there are any; share
    of images whose surest label is right, or where labels are not exclusive their mean average precision.
    """
    both = [n for n in range(labels.shape[1]) if 0 < labels[:, n].sum() < len(labels)]
    found: dict[str, float] = {}
    if both:
        found["AUROC"] = float(np.mean([roc_auc_score(labels[:, n], confidences[:, n]) for n in both]))
    if exclusive:
        found["accuracy"] = float(np.mean(confidences.argmax(1) == labels.argmax(1)))
    elif both:
        found["mAP"] = float(np.mean([average_precision_score(labels[:, n], confidences[:, n]) for n in both]))
    return found
