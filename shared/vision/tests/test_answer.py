"""What the graph's numbers become."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.metrics import roc_auc_score

from vigia_vision import Manifest, interpret, mask_png
from vigia_vision.interpret import BadOutput, confidence
from vigia_vision.manifest import Decision, InputContract, Label, TensorSpec, Threshold

shares = st.floats(0, 1, width=32)


def two_labels(kind: str = "anomaly-segmentation") -> Manifest:
    segmentation = kind == "anomaly-segmentation"
    outputs = [TensorSpec(name="score", shape=(-1, 1)), TensorSpec(name="maps", shape=(-1, 2, 6, 5))]
    return Manifest(
        kind=kind,
        labels=(Label(name="crack", color="#23a436"), Label(name="dent", color="#4dd8ff")) if segmentation else (),
        input=InputContract(width=20, height=24, image_width=40, image_height=48),
        outputs=tuple(outputs if segmentation else outputs[:1]),
        threshold=Threshold(value=0.5),
        decision=Decision(pixel_thresholds=(0.5, 0.3) if segmentation else ()),
    )


def outputs(score: float, maps: np.ndarray | None = None) -> dict[str, np.ndarray]:
    maps = np.zeros((2, 6, 5), np.float32) if maps is None else maps
    return {"score": np.array([score], np.float32), "maps": maps}


@given(shares, shares)
def test_confidence_is_in_the_class_given(score: float, threshold: float) -> None:
    assert 0.5 <= confidence(score, threshold) <= 1


@given(st.lists(st.integers(0, 10_000), min_size=2, max_size=50), st.integers(1, 9_999))
def test_confidence_grows_with_the_distance_from_the_threshold(steps: list[int], limit: int) -> None:
    threshold = limit / 10_000
    scores = sorted({step / 10_000 for step in steps})
    above = [confidence(s, threshold) for s in scores if s >= threshold]
    below = [confidence(s, threshold) for s in scores if s < threshold]
    assert above == sorted(set(above))
    assert below == sorted(set(below), reverse=True)


@given(
    st.lists(st.tuples(st.integers(0, 1 << 20), st.booleans()), min_size=2, max_size=60).filter(
        lambda pairs: len({truth for _, truth in pairs}) == 2
    ),
    st.integers(1, 999),
)
def test_ranking_by_answers_is_ranking_by_scores(pairs: list[tuple[int, bool]], limit: int) -> None:
    manifest = two_labels("anomaly-classification")
    scores = [np.float32(step / (1 << 20)) for step, _ in pairs]
    truth = [anomalous for _, anomalous in pairs]
    answers = [interpret(outputs(float(s)), manifest, limit / 1000, 40, 48) for s in scores]
    signal = [a.confidence if a.is_anomalous else 1 - a.confidence for a in answers]
    assert roc_auc_score(truth, signal) == roc_auc_score(truth, scores)


@given(shares, st.integers(0, 2**32 - 1), st.integers(64, 200), st.integers(64, 200))
def test_areas_sum_to_one_and_agree_with_the_mask(score: float, seed: int, width: int, height: int) -> None:
    manifest = two_labels()
    maps = np.random.default_rng(seed).random((2, 6, 5), dtype=np.float32)
    answer = interpret(outputs(score, maps), manifest, 0.5, width, height)
    assert answer.background_area + sum(label.area for label in answer.labels) == pytest.approx(1, abs=1e-9)
    assert answer.mask is not None
    assert answer.mask.shape == (height, width)
    for index, label in enumerate(manifest.labels, 1):
        found = [found.area for found in answer.labels if found.name == label.name]
        assert sum(found) == pytest.approx((answer.mask == index).mean())
    if not answer.is_anomalous:
        assert answer.labels == ()
        assert answer.background_area == 1


def test_the_mask_has_the_labels_colours_on_white_at_the_images_size() -> None:
    manifest = two_labels()
    maps = np.zeros((2, 6, 5), np.float32)
    maps[0, :2], maps[1, 4:] = 1, 1
    png = mask_png(interpret(outputs(0.9, maps), manifest, 0.5, 123, 77), manifest)
    assert png is not None
    image = Image.open(io.BytesIO(png))
    assert (image.format, image.mode, image.size) == ("PNG", "RGB", (123, 77))
    colors = {color for _, color in image.getcolors()}
    assert colors == {(255, 255, 255), (0x23, 0xA4, 0x36), (0x4D, 0xD8, 0xFF)}
    assert image.getpixel((60, 0)) == (0x23, 0xA4, 0x36)
    assert image.getpixel((60, 76)) == (0x4D, 0xD8, 0xFF)
    assert image.getpixel((60, 38)) == (255, 255, 255)


def test_where_labels_overlap_the_one_that_exceeds_its_threshold_most_wins() -> None:
    maps = np.stack([np.full((6, 5), 0.6, np.float32), np.full((6, 5), 0.7, np.float32)])
    answer = interpret(outputs(0.9, maps), two_labels(), 0.5, 40, 48)
    assert [label.name for label in answer.labels] == ["dent"]


def test_a_normal_image_has_a_white_mask_and_a_classification_model_none() -> None:
    maps = np.ones((2, 6, 5), np.float32)
    normal = interpret(outputs(0.1, maps), two_labels(), 0.5, 40, 48)
    png = mask_png(normal, two_labels())
    assert png is not None
    assert Image.open(io.BytesIO(png)).getcolors() == [(40 * 48, (255, 255, 255))]
    plain = interpret(outputs(0.9), two_labels("anomaly-classification"), 0.5, 40, 48)
    assert plain.mask is None
    assert mask_png(plain, two_labels("anomaly-classification")) is None


@pytest.mark.parametrize("score", [float("nan"), -0.1, 1.5, float("inf")])
def test_a_score_out_of_range_is_an_error_not_a_pass(score: float) -> None:
    with pytest.raises(BadOutput):
        interpret(outputs(score), two_labels(), 0.5, 40, 48)


def test_a_map_that_is_not_finite_is_an_error() -> None:
    with pytest.raises(BadOutput):
        interpret(outputs(0.9, np.full((2, 6, 5), np.nan, np.float32)), two_labels(), 0.5, 40, 48)


def test_the_threshold_given_decides_and_belongs_to_the_anomalous() -> None:
    assert interpret(outputs(0.375), two_labels(), 0.375, 40, 48).is_anomalous
    assert not interpret(outputs(0.375), two_labels(), 0.376, 40, 48).is_anomalous
