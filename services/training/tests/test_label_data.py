"""Which labelled images learn and which test: images of one physical part come to one side."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from PIL import Image

from vigia_training.app.label_data import LabelData, read_datasets
from vigia_training.app.train import Task
from vigia_training.domain.annotations import Annotation
from vigia_training.domain.errors import BadData

ARN = "arn:aws:rekognition:us-east-1:123456789012:project/plates/version/1/1700000000000"


@dataclass
class Photographs:
    """Manifest lines and the images that they name."""

    seed: int = 0
    lines: list[dict[str, object]] = field(default_factory=list)
    objects: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.seed)

    def surface(self) -> np.ndarray:
        """A part of its own, grey ``[96, 96, 3]``."""
        return self._rng.uniform(40, 210, (8, 8)).repeat(12, 0).repeat(12, 1)[..., None].repeat(3, 2)

    def add(self, surface: np.ndarray, labels: Sequence[str], part: str | None = None) -> None:
        """One photograph, in light of its own."""
        pixels = surface * self._rng.uniform(0.8, 1.2) + self._rng.normal(0, 4, surface.shape)
        file = io.BytesIO()
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(file, "PNG")
        uri = f"s3://plates/{self.seed}/{len(self.lines)}.png"
        self.objects[uri] = file.getvalue()
        line: dict[str, object] = {"source-ref": uri} | ({} if part is None else {"part-id": part})
        for number, name in enumerate(labels):
            line[f"label-{number}"] = 1
            line[f"label-{number}-metadata"] = {"class-name": name, "type": "groundtruth/image-classification"}
        self.lines.append(line)

    @property
    def manifest(self) -> bytes:
        return b"".join(json.dumps(line).encode() + b"\n" for line in self.lines)


def divided(learn: Photographs, test: Photographs | None = None) -> LabelData:
    objects = learn.objects | (test.objects if test else {})
    task = Task(ARN, "plates", "1", learn.manifest, test.manifest if test else None)
    return read_datasets(task, objects.__getitem__, lambda share: None)


def photographs(parts: int, each: int, ids: bool, seed: int = 0) -> Photographs:
    """``parts`` of each label; without ``ids`` only their looks say which images show one."""
    made = Photographs(seed)
    for name in ("cap", "hat"):
        for number in range(parts):
            surface = made.surface()
            for _ in range(each):
                made.add(made.surface() if ids else surface, [name], f"{name}-{number}" if ids else None)
    return made


def parts_of(annotations: Sequence[Annotation], each: int) -> set[int]:
    return {(one.line - 1) // each for one in annotations}


@pytest.mark.parametrize("ids", [True, False])
def test_images_of_one_part_learn_or_test_together(ids: bool) -> None:
    data = divided(photographs(15, 4, ids))
    assert (len(data.learn), len(data.test)) == (96, 24)
    assert not parts_of(data.learn, 4) & parts_of(data.test, 4)
    assert data.warnings == []
    # The same holds for what is held back in training.
    together: dict[int, set[int]] = {}
    for one, number in zip(data.learn, data.groups, strict=True):
        together.setdefault((one.line - 1) // 4, set()).add(number)
    assert all(len(numbers) == 1 for numbers in together.values())
    assert len({number for numbers in together.values() for number in numbers}) == 24


def test_twins_in_given_datasets_are_counted() -> None:
    learn, test = photographs(15, 2, False), photographs(5, 1, False, seed=1)
    shown = learn.surface()
    learn.add(shown, ["cap"])
    test.add(shown, ["cap"])
    (warning,) = divided(learn, test).warnings
    assert warning.startswith("1 of 11 test images show parts that training images show too")


def test_a_label_of_one_part_tests_all_the_same_and_the_user_is_told() -> None:
    made = photographs(15, 2, True)
    for _ in range(6):
        made.add(made.surface(), ["bag"], "the only bag")
    data = divided(made)
    assert sum("bag" in one.labels for one in data.test) == 1
    (warning,) = data.warnings
    assert warning.endswith("on both sides, in training and in test: bag")
    others = (
        [one for one in data.learn if "bag" not in one.labels],
        [one for one in data.test if "bag" not in one.labels],
    )
    assert not parts_of(others[0], 2) & parts_of(others[1], 2)


def test_a_single_image_of_each_label_leaves_nothing_to_test() -> None:
    made = Photographs()
    for name in ("cap", "hat"):
        made.add(made.surface(), [name])
    with pytest.raises(BadData, match="no images to test with that are labelled for classification"):
        divided(made)
