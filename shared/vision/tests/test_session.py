"""From bytes to answer, through the real runtime."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from vigia_vision import Artifact, DecodeError, Session, WrongSize, decode, prepare
from vigia_vision.prepare import squash_area, squash_scaled


def test_an_image_is_judged(artifact: Artifact, half_red_png: bytes) -> None:
    answer = Session(artifact).inspect(half_red_png)
    assert answer.is_anomalous
    assert answer.score == pytest.approx(0.5, abs=1e-3)
    (label,) = answer.labels
    assert (label.name, label.color) == ("red", "#23A436")
    assert label.area == pytest.approx(0.5, abs=0.01)
    assert answer.mask is not None
    assert answer.mask.shape == (48, 64)
    assert answer.mask[:, :30].all()
    assert not answer.mask[:, 34:].any()


def test_the_threshold_can_be_replaced(artifact: Artifact, half_red_png: bytes) -> None:
    answer = Session(artifact).inspect(half_red_png, threshold=0.6)
    assert not answer.is_anomalous
    assert answer.labels == ()


def test_a_batch_gives_what_its_images_give(artifact: Artifact) -> None:
    session = Session(artifact, threads=2)
    batch = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    together = session.infer(batch)
    assert together["score"].shape == (5, 1)
    for index in range(5):
        alone = session.infer(batch[index : index + 1])
        assert np.allclose(alone["maps"][0], together["maps"][index], atol=1e-6)


def test_another_size_is_refused_before_decoding(artifact: Artifact, half_red_png: bytes) -> None:
    manifest = artifact.manifest
    other = manifest.model_copy(update={"input": manifest.input.model_copy(update={"image_width": 65})})
    with pytest.raises(WrongSize, match="64x48") as refused:
        prepare(half_red_png[:60], other)  # only the header is there
    assert (refused.value.width, refused.value.height) == (64, 48)
    with pytest.raises(DecodeError):
        prepare(half_red_png[:60], manifest)


def centres_within(size: int, parts: int) -> list[np.ndarray]:
    """For each of ``parts`` equal areas of ``size`` pixels: which pixels have their centre in it, in whole numbers."""
    centre = parts * (2 * np.arange(size) + 1)
    # A centre on a border goes to either side, as rounding has it: such sizes say nothing.
    assume(not np.isin(centre, 2 * size * np.arange(parts + 1)).any())
    return [(2 * size * n < centre) & (centre < 2 * size * (n + 1)) for n in range(parts)]


@given(arrays(np.uint8, st.tuples(st.integers(8, 40), st.integers(8, 40), st.just(3))), st.integers(1, 8))
def test_every_squashed_pixel_is_the_mean_of_the_centres_it_covers(pixels: np.ndarray, side: int) -> None:
    small = squash_area(pixels, side, side)
    assert small.shape == (side, side, 3)
    rows, columns = (centres_within(size, side) for size in pixels.shape[:2])
    expected = [[pixels[row][:, column].mean((0, 1)) for column in columns] for row in rows]
    # Rounded after each of two passes.
    assert np.abs(small - np.array(expected)).max() <= 1


def test_squashing_by_a_whole_factor_is_the_mean_of_each_block() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (24, 36, 3), dtype=np.uint8)
    blocks = pixels.reshape(8, 3, 12, 3, 3).mean((1, 3))
    assert np.abs(squash_area(pixels, 12, 8) - blocks).max() <= 1


def encoded(pixels: np.ndarray, form: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, **({"quality": 95, "subsampling": 0} if form == "JPEG" else {}))
    return file.getvalue()


def scene(width: int, height: int) -> np.ndarray:
    """Coarse blots with sharper ones on them."""
    rng = np.random.default_rng(width)
    layers = [
        np.asarray(
            Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).resize((width, height)), float
        )
        for side in (6, 40)
    ]
    return np.asarray(0.7 * layers[0] + 0.3 * layers[1], np.uint8)


@pytest.mark.parametrize("size", [(640, 480), (641, 479), (448, 1000), (224, 224), (300, 230), (1800, 1795), (100, 90)])
def test_an_image_that_is_shrunk_while_decoded_looks_as_if_it_were_not(size: tuple[int, int]) -> None:
    pixels = scene(*size)
    whole = np.asarray(Image.fromarray(pixels).resize((224, 224), Image.Resampling.BILINEAR), float)
    for form in ("JPEG", "PNG"):
        small = squash_scaled(encoded(pixels, form), 224, 224)
        assert (small.shape, small.dtype) == ((224, 224, 3), np.uint8)
        assert np.abs(small - whole).mean() < 2.5, form


def test_a_manifest_names_how_images_are_shrunk(artifact: Artifact) -> None:
    contract = artifact.manifest.input.model_copy(update={"preparation": "squash-area/2", "any_size": True})
    scaled = artifact.manifest.model_copy(update={"input": contract})
    data = encoded(scene(300, 200), "JPEG")
    assert np.array_equal(prepare(data, scaled).tensor, squash_scaled(data, 32, 32))
    assert not np.array_equal(prepare(data, scaled).tensor, squash_area(decode(data), 32, 32))
    with pytest.raises(DecodeError, match="damaged"):
        prepare(data[:-300], scaled)
