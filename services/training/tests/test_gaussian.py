"""What one class's head says of patches that are unusual, and of ones that are usual where they are."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vigia_training.learning.gaussian import GaussianHead


def features(count: int, seed: int) -> torch.Tensor:
    """Correlated features at 9x7 places; those of the last column vary three times as much, as at a border."""
    rng = torch.Generator().manual_seed(seed)
    mixed = torch.randn(count, 12, 9, 7, generator=rng).permute(0, 2, 3, 1) @ torch.randn(
        12, 12, generator=torch.Generator().manual_seed(0)
    )
    result = mixed.permute(0, 3, 1, 2).contiguous()
    result[..., -2:] *= 3
    return result


def everywhere(features: torch.Tensor) -> torch.Tensor:
    return torch.ones(len(features), *features.shape[2:], dtype=torch.bool)


@pytest.fixture(scope="module")
def head() -> GaussianHead:
    head = GaussianHead(12, 9, 7)
    head.fit(features(200, 1), everywhere(features(200, 1)))
    head.expect(head.distances(features(200, 2)))
    return head.eval()


def test_a_normal_patch_is_about_one_away(head: GaussianHead) -> None:
    assert head.distances(features(100, 3)).pow(2).mean() == pytest.approx(1, abs=0.15)


def test_what_is_usual_at_a_place_does_not_count(head: GaussianHead) -> None:
    distances = head.distances(features(100, 4))
    assert distances[..., 6].mean() > 1.5 * distances[..., :4].mean()
    assert (distances - head.usual).mean((0, 1)).abs().max() < 0.3


def test_a_few_unusual_patches_are_found(head: GaussianHead) -> None:
    unseen = features(100, 5)
    spoilt = unseen.clone()
    spoilt[:, :, 3:6, 1:4] += 6
    normal, bad = head([unseen])[0], head([spoilt])[0]
    assert np.mean(bad.numpy()[:, None] > normal.numpy()) > 0.95


def test_features_that_never_vary_make_nothing_infinite() -> None:
    head = GaussianHead(4, 3, 3)
    head.fit(torch.ones(5, 4, 3, 3), torch.ones(5, 3, 3, dtype=torch.bool))
    head.expect(head.distances(torch.ones(5, 4, 3, 3)))
    assert torch.isfinite(head([torch.ones(2, 4, 3, 3)])[0]).all()
    assert (head([torch.full((2, 4, 3, 3), 2.0)])[0] > 0).all()


def test_what_is_not_clean_is_no_part_of_normal() -> None:
    given = features(50, 6)
    spoilt = given.clone()
    spoilt[:, :, :2] += 100
    clean = everywhere(given)
    clean[:, :3] = False  # and their neighbours, with which they are averaged
    one, other = GaussianHead(12, 9, 7), GaussianHead(12, 9, 7)
    one.fit(given, clean)
    other.fit(spoilt, clean)
    assert torch.allclose(one.mean, other.mean, atol=1e-5)
    assert torch.allclose(one.whiten, other.whiten, atol=1e-5)
