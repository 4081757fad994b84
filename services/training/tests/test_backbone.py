"""Networks of the user's own as the frozen part: what is taken, and what a wrong file is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from vigia_training.domain.errors import BadData
from vigia_training.learning.backbone import STRIDES, load_backbone
from vigia_training.learning.detection.network import Detector
from vigia_training.learning.export import export_backbone
from vigia_vision.session import load

SMALL = ["resnet10t", "convnext_atto", "test_vit", "mobilenetv3_small_050"]


def weights(name: str, folder: Path, kind: str = "pth") -> Path:
    """A file of random weights."""
    torch.manual_seed(0)
    state = timm.create_model(name, pretrained=False).state_dict()
    file = folder / f"{name}.{kind}"
    if kind == "pth":
        torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, file)
    else:
        save_file({key: value.contiguous() for key, value in state.items()}, file)
    return file


@pytest.mark.parametrize("name", SMALL)
def test_a_network_of_ones_own_is_read_at_four_strides_and_exported(name: str, tmp_path: Path) -> None:
    backbone = load_backbone(name, weights(name, tmp_path, "safetensors"))
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 255, (2, 64, 96, 3), np.uint8))
    with torch.inference_mode():
        features = backbone(image)
    assert [tuple(f.shape[2:]) for f in features] == [(64 // stride, 96 // stride) for stride in STRIDES]
    assert backbone.channels == tuple(f.shape[1] for f in features)
    assert not backbone.quantizable
    late = backbone.late()
    learning = sum(parameter.numel() for layer in late for parameter in layer.parameters(recurse=False))
    assert 0.5 < learning / sum(parameter.numel() for parameter in backbone.parameters()) < 1
    session = load(export_backbone(backbone, 96, 64).SerializeToString(), 1)
    for found, feature in zip(session.run(None, {"image": image.numpy()}), features, strict=True):
        assert np.abs(found - feature.numpy()).max() < 1e-3 * max(1.0, float(feature.abs().max()))
    with torch.inference_mode():
        logits, boxes = Detector(backbone, 2).eval()(image)
    assert logits.shape[1] == boxes.shape[1] == sum(64 * 96 // stride**2 for stride in (8, 16, 32))


def test_both_kinds_of_file_hold_the_same(tmp_path: Path) -> None:
    image = torch.full((1, 64, 64, 3), 90, dtype=torch.uint8)
    with torch.inference_mode():
        first, second = (
            load_backbone("resnet10t", weights("resnet10t", tmp_path, kind))(image)[3]
            for kind in ("pth", "safetensors")
        )
    assert torch.equal(first, second)


def test_a_wrong_file_is_told_what_is_wrong_with_it(tmp_path: Path) -> None:
    file = weights("resnet10t", tmp_path)
    with pytest.raises(BadData, match=r"resnet10t.pth does not hold the weights of resnet14t: .* is missing, .* more$"):
        load_backbone("resnet14t", file)
    state = torch.load(file)["state_dict"]
    state["module.layer1.0.conv1.weight"] = torch.zeros(1, 2, 3, 3)
    torch.save(state, file)
    with pytest.raises(BadData, match=r"layer1\.0\.conv1\.weight is \[1, 2, 3, 3\] and not \[64, 64, 3, 3\]$"):
        load_backbone("resnet10t", file)
    torch.save([1, 2], file)
    with pytest.raises(BadData, match=r"resnet10t.pth holds no weights by name"):
        load_backbone("resnet10t", file)
    for kind in ("pth", "safetensors"):
        broken = tmp_path / f"broken.{kind}"
        broken.write_bytes(b"nothing of the kind")
        with pytest.raises(BadData, match=rf"broken.{kind} is no file of weights"):
            load_backbone("resnet10t", broken)
    with pytest.raises(BadData, match="cannot be read"):
        load_backbone("resnet10t", tmp_path / "gone.pth")


def test_a_file_whose_last_layer_is_another_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "own.pth"
    torch.save(timm.create_model("resnet10t", pretrained=False, num_classes=7).state_dict(), file)
    assert load_backbone("resnet10t", file).channels == (64, 128, 256, 512)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("resnet10t", "BACKBONE_PATH"),
        ("nonsense", "knows no such network"),
    ],
)
def test_a_network_that_cannot_be_had_is_told(name: str, problem: str, tmp_path: Path) -> None:
    file = None if name == "resnet10t" else tmp_path / "x.pth"
    if file is not None:
        file.write_bytes(b"")
    with pytest.raises(BadData, match=problem):
        load_backbone(name, file)


def test_a_network_without_the_strides_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"levit_128s gives features at strides of \[16, 32, 64\]; 4, 8, 16 and 32 are"):
        load_backbone("levit_128s", weights("levit_128s", tmp_path))
