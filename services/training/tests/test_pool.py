"""The pool of features: what is made of which image, and what is held back together."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vigia_training.learning.augment import Variation
from vigia_training.learning.backbone import load_backbone
from vigia_training.learning.features import Example, Pool, build_pool
from vigia_training.learning.trainer import _clean, _folds

SIDE = 96
SIZE = 60


def example(group: int, anomalous: bool, masked: bool = True) -> Example:
    pixels = np.full((SIDE, SIDE, 3), 100 + group, np.uint8)
    masks = np.zeros((1, SIDE, SIDE), np.float32)
    if anomalous:
        pixels[8:16, 8:16] = 250
        masks[0, 8:16, 8:16] = 1
    return Example(pixels, anomalous, masks if masked or not anomalous else None, group)


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    """Five normal parts and four anomalous ones, two images of each; of one the place is not known."""
    return [example(g, g >= 5, masked=g != 8) for g in range(9) for _ in range(2)]


@pytest.fixture(scope="module")
def pool(examples: list[Example]) -> Pool:
    return build_pool(load_backbone(), examples, 1, SIZE, 0, Variation(), lambda share: None)


def test_the_examples_come_first_as_they_are(pool: Pool, examples: list[Example]) -> None:
    assert pool.source[: len(examples)].tolist() == list(range(len(examples)))
    assert pool.plain.sum() == len(examples)
    assert pool.plain[: len(examples)].all()
    assert len(pool.source) == SIZE


def test_what_has_a_defect_pasted_or_made_up_is_anomalous(pool: Pool) -> None:
    assert set(pool.making) == {"plain", "varied", "pasted", "spoilt"}
    anomalous = pool.anomalous.numpy() > 0
    assert anomalous[np.isin(pool.making, ("pasted", "spoilt"))].all()
    assert (pool.source[pool.making == "spoilt"] < 10).all()


def test_places_are_known_where_the_masks_say_them(pool: Pool) -> None:
    there = pool.defects.flatten(1).max(1).values.numpy() > 0
    located, mapped = pool.located.numpy(), pool.mapped.numpy()
    unknown = pool.source >= 16
    assert not located[unknown].any()
    assert not mapped[unknown].any()
    assert located[~unknown].all()
    # Of a made-up defect the place is known, and no label.
    assert not mapped[pool.making == "spoilt"].any()
    assert there[pool.making == "spoilt"].all()
    assert not there[(pool.anomalous.numpy() == 0)].any()
    assert there[located & (pool.making == "pasted")].mean() > 0.9  # some are moved out of the image


def test_nothing_is_learnt_from_that_had_a_share_in_what_is_held_back(pool: Pool, examples: list[Example]) -> None:
    group = np.array([e.group for e in examples])
    for learn, hold in _folds(pool, examples, 3, 0):
        held = set(group[pool.source[hold]])
        assert pool.plain[hold].all()
        assert not held & set(group[pool.source[learn]])
        assert not held & set(group[pool.donor[learn]])


def test_around_a_marked_defect_the_surface_is_clean(pool: Pool) -> None:
    index = np.array([0, 10, 16])  # normal, marked, not marked
    clean = _clean(pool, index)
    assert clean[0].all()
    assert not clean[1, :2, :2].any()
    assert clean[1, 2:, 2:].all()
    assert not clean[2].any()


def test_the_same_seed_gives_the_same_pool(pool: Pool, examples: list[Example]) -> None:
    again = build_pool(load_backbone(), examples, 1, SIZE, 0, Variation(), lambda share: None)
    assert all(torch.equal(a, b) for a, b in zip(again.features, pool.features, strict=True))
    assert torch.equal(again.defects, pool.defects)


def test_normal_images_alone_are_varied_and_spoilt(examples: list[Example]) -> None:
    pool = build_pool(load_backbone(), examples[:10], 0, 30, 0, Variation(), lambda share: None)
    assert pool.maps is None
    assert (pool.making == "spoilt").sum() == 10
    assert (pool.anomalous.numpy() > 0).sum() == 10
