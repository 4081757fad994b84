"""int8 is taken where it costs next to nothing, and refused where it costs more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from vigia_training.learning import precision
from vigia_training.learning.backbone import load_backbone
from vigia_training.learning.export import export_backbone, export_judge, join
from vigia_training.learning.features import Example
from vigia_training.learning.heads import SegmentationHead
from vigia_training.learning.precision import Comparison, choose, objection
from vigia_training.learning.threshold import TYPICAL_Z, Calibration, Rate
from vigia_training.learning.trainer import Fitted, Fold, Network
from vigia_vision.session import load

SIDE = 96
HARMLESS = Comparison(auroc_loss=0.001, iou_loss=0.005, noise=0.1, shift=0.0, speedup=2.0)


@pytest.mark.parametrize(
    ("compared", "word"),
    [
        (replace(HARMLESS, auroc_loss=0.003), "AUROC"),
        (replace(HARMLESS, iou_loss=0.02), "overlap"),
        (replace(HARMLESS, noise=0.16 * TYPICAL_Z), "margin"),
    ],
)
def test_each_loss_speaks_against_integers(compared: Comparison, word: str) -> None:
    against = objection(compared, scale=1.0)
    assert against is not None
    assert word in against


def test_nothing_speaks_against_integers_that_cost_nothing() -> None:
    assert objection(HARMLESS, scale=1.0) is None
    assert objection(replace(HARMLESS, auroc_loss=None, iou_loss=None), scale=1.0) is None


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    torch.manual_seed(0)
    backbone = load_backbone()
    head = SegmentationHead(backbone.channels, 1).eval()
    rng = np.random.default_rng(0)
    images = [
        np.clip(128 + 40 * rng.standard_normal((SIDE // 8, SIDE // 8, 3)), 0, 255)
        .astype(np.uint8)
        .repeat(8, 0)
        .repeat(8, 1)
        for _ in range(12)
    ]
    held = tuple(Example(image, number % 2 == 1, None) for number, image in enumerate(images))
    network = Network(backbone, head, Calibration(0.0, 1.0)).eval()
    return Fitted(network, (0.5,), (Fold(head, held),), Rate(0.0, 0.0, 0.5))


@pytest.fixture(scope="module")
def backbone(fitted: Fitted) -> onnx.ModelProto:
    return export_backbone(fitted.network.backbone, SIDE, SIDE)


def test_integers_replace_the_later_convolutions_and_hardly_move_the_answer(
    fitted: Fitted, backbone: onnx.ModelProto
) -> None:
    examples = fitted.folds[0].held
    choice = choose("int8", backbone, fitted, examples, threads=1)
    assert choice.precision == "int8"
    quantized = [node for node in choice.backbone.graph.node if node.op_type == "QuantizeLinear"]
    assert len(quantized) > 20
    judge = export_judge(fitted.network, SIDE, SIDE)
    batch = np.stack([example.pixels for example in examples])
    answers = []
    for graph in (backbone, choice.backbone):
        session = load(join(graph, judge, "test"), 1)
        answers.append(session.run(["score"], {"image": batch})[0])
    scores, integers = answers
    assert len(np.unique(scores)) == len(scores)
    assert np.abs(scores - integers).max() < 0.05


def test_float32_can_be_asked_for(fitted: Fitted, backbone: onnx.ModelProto) -> None:
    choice = choose("float32", backbone, fitted, fitted.folds[0].held, threads=1)
    assert choice.backbone is backbone
    assert choice.precision == "float32"


def test_a_processor_without_byte_products_gets_float32(
    fitted: Fitted, backbone: onnx.ModelProto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "cpuinfo"
    old.write_text("flags : sse4_2 avx2 fma\n")
    monkeypatch.setattr(precision, "CPUINFO", old)
    choice = choose("auto", backbone, fitted, fitted.folds[0].held, threads=1)
    assert choice.precision == "float32"
    assert "processor" in choice.reason
