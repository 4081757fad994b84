"""One class: how far an image's patches lie from those of normal images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

#: So many of the farthest patches count, and so much of the whole image's mean is taken off: an image that is noisier
#: than usual, or in other light, is a little farther away everywhere.
_FARTHEST = 3
_OVERALL = 0.25
#: A share of the mean variance that keeps directions which were never seen from deciding alone.
_SHRINKAGE = 0.01
#: After so many images the distance that they show at a place is half believed.
_PLACE_PRIOR = 10.0


class GaussianHead(nn.Module):
    """One Gaussian of the deepest features, wherever they are in the image, and the distance usual at each place."""

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("whiten", torch.eye(channels))
        self.register_buffer("usual", torch.zeros(height, width))
        self.mean: Tensor
        self.whiten: Tensor
        self.usual: Tensor

    @torch.no_grad()
    def fit(self, features: Tensor, clean: Tensor) -> None:
        """Mean and covariance of the patches of ``features`` ``[N, C, h, w]`` where ``clean`` ``[N, h, w]`` is true."""
        patches = _pool(features).permute(0, 2, 3, 1)[clean].double()
        self.mean = patches.mean(0).float()
        centred = patches - patches.mean(0)
        values, vectors = torch.linalg.eigh(centred.T @ centred / len(centred))
        values = values.clamp(min=0)
        # Features that do not vary at all must not make distances infinite.
        self.whiten = (vectors / (values + _SHRINKAGE * values.mean() + 1e-12).sqrt()).T.float()

    @torch.no_grad()
    def expect(self, distances: Tensor) -> None:
        """Learns what is usual at each place from ``distances`` ``[N, h, w]`` of images that ``fit`` had not seen."""
        middle = distances.median(0).values[None, None]
        smooth = fn.avg_pool2d(fn.pad(middle, (1, 1, 1, 1), mode="replicate"), 3, 1)[0, 0]
        belief = len(distances) / (len(distances) + _PLACE_PRIOR)
        self.usual = belief * smooth + (1 - belief) * smooth.mean()

    def distances(self, features: Tensor) -> Tensor:
        """``[N, C, h, w]`` to ``[N, h, w]``: each patch's distance, about 1 where it is normal."""
        x = _pool(features) - self.mean[None, :, None, None]
        x = fn.conv2d(x, self.whiten[:, :, None, None])
        return (x * x).mean(1).sqrt()

    def logit(self, distances: Tensor) -> Tensor:
        """``[N, h, w]`` to ``[N]``: by how much the farthest patches exceed what is usual there."""
        excess = (distances - self.usual).flatten(1)
        farthest = excess.topk(min(_FARTHEST, excess.shape[1]), dim=1).values.mean(1)
        return farthest - _OVERALL * excess.mean(1)

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor | None]:
        """The image logit ``[N]``, and no maps."""
        return self.logit(self.distances(features[-1])), None


def _pool(features: Tensor) -> Tensor:
    return fn.avg_pool2d(features, 3, 1, 1, count_include_pad=False)
