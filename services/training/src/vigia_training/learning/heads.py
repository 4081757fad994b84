"""What is learnt on top of the frozen features."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

_WIDTH = 64
_FINE = 24


class SegmentationHead(nn.Module):
    """Features to one image logit and, where there are labels, label maps at a quarter of the input's sides."""

    def __init__(self, channels: Sequence[int], labels: int) -> None:
        super().__init__()
        self.labels = labels
        self.lateral = nn.ModuleList(
            nn.Sequential(nn.Conv2d(count, _WIDTH, 1, bias=False), nn.BatchNorm2d(_WIDTH)) for count in channels
        )
        self.mix = nn.Conv2d(_WIDTH, _WIDTH, 5, padding=2, groups=_WIDTH)
        self.blend = nn.Conv2d(_WIDTH, _WIDTH, 1)
        self.image = nn.Linear(2 * _WIDTH + 2 * labels, 1)
        if labels:
            self.coarse = nn.Conv2d(_WIDTH, _FINE, 1)
            self.fine = nn.Sequential(nn.Conv2d(channels[0], _FINE, 1, bias=False), nn.BatchNorm2d(_FINE))
            self.smooth = nn.Conv2d(_FINE, _FINE, 3, padding=1)
            self.maps = nn.Conv2d(_FINE, labels, 1)
            # Most of an image is normal: begin there.
            nn.init.constant_(self.maps.bias, -2.0)  # type: ignore[arg-type]

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor | None]:
        """The image logit ``[N]``, and label logits ``[N, labels, H/4, W/4]`` where there are labels."""
        size = features[1].shape[-2:]
        x = self.lateral[0](fn.avg_pool2d(features[0], 2))
        for lateral, feature in zip(list(self.lateral)[1:], features[1:], strict=True):
            y = lateral(feature)
            x = x + (y if y.shape[-2:] == size else fn.interpolate(y, size=size, mode="bilinear", align_corners=False))
        x = fn.relu6(x)
        x = fn.relu6(x + self.blend(self.mix(x)))
        summary = [x.mean((2, 3)), x.amax((2, 3))]
        maps = None
        if self.labels:
            fine = features[0].shape[-2:]
            coarse = fn.interpolate(self.coarse(x), size=fine, mode="bilinear", align_corners=False)
            y = fn.relu6(coarse + self.fine(features[0]))
            maps = self.maps(fn.relu6(y + self.smooth(y)))
            flat = maps.flatten(2)
            top = max(1, flat.shape[-1] // 100)
            summary += [flat.amax(2), flat.topk(top, dim=2).values.mean(2)]
        return self.image(torch.cat(summary, 1))[:, 0], maps
