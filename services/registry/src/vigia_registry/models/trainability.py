"""Whether datasets suffice to train on: the minima and maxima of the guide, as one pure check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vigia_registry.settings import QuotaSettings


@dataclass(frozen=True, slots=True)
class DatasetCounts:
    """What a dataset holds: ``alone`` counts anomalous images by label, those that declare exactly that one."""

    normal: int
    anomaly: int
    alone: Mapping[str, int]

    @property
    def labeled(self) -> int:
        return self.normal + self.anomaly


def problems(train: DatasetCounts, test: DatasetCounts | None, quotas: QuotaSettings) -> list[str]:
    """Why the datasets do not suffice, a sentence each; empty when they do.

    The labels of the training dataset decide the kind of model: with anomaly labels on masks it is segmentation.
    Without a test dataset, training splits the one there is and needs more.
    """
    labels = sorted(train.alone)
    untrained = sorted(set() if test is None else set(test.alone) - set(labels))
    found: list[str] = []
    if len(labels) + len(untrained) > quotas.max_labels:
        found.append(f"There are {len(labels) + len(untrained)} anomaly labels, more than {quotas.max_labels}.")
    if labels and untrained:
        found.append(
            f"The test dataset has anomaly labels that the training dataset lacks: {', '.join(untrained[:5])}."
        )
    single = test is None
    _check(
        found,
        "training",
        train,
        labels,
        normal=quotas.min_normal_single if single else quotas.min_normal_train,
        anomaly=quotas.min_anomaly_single if single else quotas.min_anomaly_train,
        alone=quotas.min_label_single if single else quotas.min_label_separate,
    )
    if test is not None:
        _check(
            found,
            "test",
            test,
            labels,
            normal=quotas.min_normal_test,
            anomaly=quotas.min_anomaly_test,
            alone=quotas.min_label_separate,
        )
    most_train = quotas.max_segmented_train if labels else quotas.max_images_train
    most_test = quotas.max_segmented_test if labels else quotas.max_images_test
    for name, counts, most in (("train", train, most_train), ("test", test, most_test)):
        if counts is not None and counts.labeled > most:
            found.append(f"The {name} dataset has {counts.labeled} labeled images, more than {most}.")
    return found


def _check(
    found: list[str], name: str, counts: DatasetCounts, labels: list[str], *, normal: int, anomaly: int, alone: int
) -> None:
    if counts.normal < normal:
        found.append(f"The {name} dataset has {counts.normal} normal images; at least {normal} are needed.")
    if not labels and counts.anomaly < anomaly:
        found.append(f"The {name} dataset has {counts.anomaly} anomalous images; at least {anomaly} are needed.")
    for label in labels:
        images = counts.alone.get(label, 0)
        if images < alone:
            found.append(
                f"The {name} dataset has {images} images with only the anomaly label {label}; "
                f"at least {alone} are needed."
            )
