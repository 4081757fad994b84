"""int8 is taken where it costs next to nothing, and refused where it costs more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from vigia_training.learning import precision
from vigia_training.learning.backbone import load_backbone, load_network
from vigia_training.learning.classification.measure import measures
from vigia_training.learning.classification.network import KEPT, Classifier, Tail, Trunk
from vigia_training.learning.export import export_backbone, export_judge, join
from vigia_training.learning.features import Example
from vigia_training.learning.graph import exported
from vigia_training.learning.heads import SegmentationHead
from vigia_training.learning.precision import Comparison, Trial, choose, choose_whole, objection
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
    quantized = [node for node in choice.graph.graph.node if node.op_type == "QuantizeLinear"]
    assert len(quantized) > 20
    judge = export_judge(fitted.network, SIDE, SIDE)
    batch = np.stack([example.pixels for example in examples])
    answers = []
    for graph in (backbone, choice.graph):
        session = load(join(graph, judge, "test"), 1)
        answers.append(session.run(["score"], {"image": batch})[0])
    scores, integers = answers
    assert len(np.unique(scores)) == len(scores)
    # The head is random: a single place of its map decides, which one channel may move.
    assert np.abs(scores - integers).mean() < 0.05


def test_float32_can_be_asked_for(fitted: Fitted, backbone: onnx.ModelProto) -> None:
    choice = choose("float32", backbone, fitted, fitted.folds[0].held, threads=1)
    assert choice.graph is backbone
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


@pytest.fixture(scope="module")
def classifier() -> tuple[onnx.ModelProto, list[np.ndarray]]:
    torch.manual_seed(0)
    given = load_network()
    network = Classifier(Trunk(given), Tail(given), nn.Linear(1280, 3), True, 1.0)
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8) for _ in range(6)]
    return exported(network, SIDE, SIDE, ("score", "confidences"))[0], images


Numbers = dict[str, float]


def trial_of(graph: onnx.ModelProto, held: list[np.ndarray], *numbers: Numbers) -> Trial:
    """Measures ``numbers``, first of float32 and then of int8, once the answers are what they should be."""
    given = iter(numbers)

    def measure(said: Mapping[str, np.ndarray]) -> Numbers:
        assert said["confidences"].shape == (len(held), 3)
        assert said["confidences"].sum(1) == pytest.approx(1, abs=1e-5)
        return next(given)

    return Trial(lambda: graph, held, measure)


@pytest.fixture
def with_byte_products(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new = tmp_path / "cpuinfo"
    new.write_text("flags : avx2 avx_vnni\n")
    monkeypatch.setattr(precision, "CPUINFO", new)


def test_a_classifier_is_in_integers_but_for_its_first_blocks(
    classifier: tuple[onnx.ModelProto, list[np.ndarray]], with_byte_products: None
) -> None:
    graph, images = classifier
    trial = trial_of(graph, images, {"AUROC": 0.99, "accuracy": 0.9}, {"AUROC": 0.9885, "accuracy": 0.95})
    choice = choose_whole("auto", graph, trial, images, 1, KEPT)
    assert (choice.precision, choice.reason) == ("int8", "0.0015 AUROC lost and 0.0000 accuracy lost")
    convolutions = [node for node in choice.graph.graph.node if node.op_type == "Conv"]
    made = {name: node.op_type for node in choice.graph.graph.node for name in node.output}
    floating = [node.name for node in convolutions if made.get(node.input[1]) != "DequantizeLinear"]
    assert (len(convolutions), len(floating)) == (49, 3)
    assert all(name.startswith(KEPT) for name in floating)


def test_a_classifier_that_would_get_worse_stays_as_it_is(
    classifier: tuple[onnx.ModelProto, list[np.ndarray]], with_byte_products: None
) -> None:
    graph, images = classifier
    trial = trial_of(graph, images, {"AUROC": 0.99, "accuracy": 0.9}, {"AUROC": 0.99, "accuracy": 0.89})
    choice = choose_whole("auto", graph, trial, images, 1, KEPT)
    assert choice.graph is graph
    assert (choice.precision, choice.reason) == ("float32", "int8 would lose 0.0100 accuracy")
    assert choose_whole("auto", graph, trial_of(graph, []), images, 1).precision == "float32"
    assert choose_whole("float32", graph, trial, images, 1).reason == "asked for"


def test_how_well_labels_are_told_apart() -> None:
    labels = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 1, 0]], np.float32)
    said = np.array([[0.9, 0.1, 0], [0.2, 0.8, 0], [0.4, 0.6, 0], [0.3, 0.7, 0]], np.float32)
    assert measures(said, labels, exclusive=True) == {"AUROC": 1.0, "accuracy": 0.75}
    assert measures(said, labels, exclusive=False) == {"AUROC": 1.0, "mAP": 1.0}
    assert measures(said[:1], labels[:1], exclusive=False) == {}
