"""What is learnt on top of the frozen features."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

_WIDTH = 64
_FINE = 24
#: How much of an image's own mean is taken off its features: what matters is how a place differs from the rest. Some is
#: left, because the whole may be wrong.
_LEVEL = 0.5
#: Of the channels of features, a share is not seen in each step of learning, so that nothing hangs on a few.
_DROPPED = 0.15
#: The share of places, those that look most like a defect, which together with the foremost say whether there is one.
_FOREMOST = 0.005


class SegmentationHead(nn.Module):
    """Features to where a defect is, whether there is one, and where there are labels, where each of them is.

    An image is judged by its most suspicious places alone. A view of the whole would, of few parts, learn which part
    it is and not what is wrong with it.
    """

    def __init__(self, channels: Sequence[int], labels: int) -> None:
        super().__init__()
        self.labels = labels
        self.spread = nn.Dropout2d(_DROPPED)
        self.lateral = nn.ModuleList(
            nn.Sequential(nn.Conv2d(count, _WIDTH, 1, bias=False), nn.BatchNorm2d(_WIDTH)) for count in channels
        )
        self.mix = nn.Conv2d(_WIDTH, _WIDTH, 5, padding=2, groups=_WIDTH)
        self.blend = nn.Conv2d(_WIDTH, _WIDTH, 1)
        self.defect = nn.Conv2d(_WIDTH, 1, 1)
        self.weights = nn.Parameter(torch.tensor([1.0, 0.5]))
        self.offset = nn.Parameter(torch.tensor(0.0))
        # Most of an image is normal: begin there.
        nn.init.constant_(self.defect.bias, -3.0)  # type: ignore[arg-type]
        if labels:
            self.coarse = nn.Conv2d(_WIDTH, _FINE, 1)
            self.fine = nn.Sequential(nn.Conv2d(channels[0], _FINE, 1, bias=False), nn.BatchNorm2d(_FINE))
            self.smooth = nn.Conv2d(_FINE, _FINE, 3, padding=1)
            self.maps = nn.Conv2d(_FINE, labels, 1)
            nn.init.constant_(self.maps.bias, -3.0)  # type: ignore[arg-type]

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor | None]:
        """The image logit ``[N]``, and label logits ``[N, labels, H/4, W/4]`` where there are labels."""
        logit, _, maps = self.places(features)
        return logit, maps

    def places(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor | None]:
        """The same with, between them, logits of any defect ``[N, 1, H/8, W/8]``."""
        features = [self.spread(feature - _LEVEL * feature.mean((2, 3), keepdim=True)) for feature in features]
        size = features[1].shape[-2:]
        x = self.lateral[0](fn.avg_pool2d(features[0], 2))
        for lateral, feature in zip(list(self.lateral)[1:], features[1:], strict=True):
            y = lateral(feature)
            x = x + (y if y.shape[-2:] == size else fn.interpolate(y, size=size, mode="bilinear", align_corners=False))
        x = fn.relu6(x)
        x = fn.relu6(x + self.blend(self.mix(x)))
        defect = self.defect(x)
        flat = defect.flatten(1)
        foremost = flat.topk(max(1, int(_FOREMOST * flat.shape[1])), dim=1).values
        weight, share = self.weights.abs()
        logit = weight * foremost[:, 0] + share * foremost.mean(1) + self.offset
        if not self.labels:
            return logit, defect, None
        coarse = fn.interpolate(self.coarse(x), size=features[0].shape[-2:], mode="bilinear", align_corners=False)
        y = fn.relu6(coarse + self.fine(features[0]))
        return logit, defect, self.maps(fn.relu6(y + self.smooth(y)))
