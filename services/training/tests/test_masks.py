"""Masks are read exactly, or the job says which file and which colour is wrong."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vigia_training.domain.dataset import Mask
from vigia_training.domain.errors import BadData
from vigia_training.domain.masks import read_mask

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)
MASK = Mask("s3://b/m.png", {RED: "crack", BLUE: "dent"}, frozenset({WHITE}))
LABELS = ["dent", "crack"]


def file(image: Image.Image, kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


@given(st.lists(st.sampled_from([WHITE, RED, BLUE]), min_size=12, max_size=12), st.sampled_from(["RGB", "RGBA", "P"]))
def test_colours_become_label_indices(colors: list[tuple[int, int, int]], mode: str) -> None:
    image = Image.fromarray(np.array(colors, np.uint8).reshape(3, 4, 3)).convert(mode)
    index = read_mask(file(image), MASK, LABELS, 4, 3)
    assert index.reshape(-1).tolist() == [{WHITE: 0, RED: 2, BLUE: 1}[c] for c in colors]


def test_transparent_pixels_are_background_whatever_their_colour() -> None:
    pixels = np.array([[[255, 0, 0, 255], [255, 0, 0, 100], [1, 2, 3, 0]]], np.uint8)
    assert read_mask(file(Image.fromarray(pixels)), MASK, LABELS, 3, 1).tolist() == [[2, 0, 0]]


@given(st.tuples(*[st.integers(0, 255)] * 3).filter(lambda c: c not in (RED, BLUE, WHITE)))
def test_a_colour_outside_the_map_is_named_with_its_file(color: tuple[int, int, int]) -> None:
    with pytest.raises(BadData) as raised:
        read_mask(file(Image.new("RGB", (4, 3), color)), MASK, LABELS, 4, 3)
    assert "s3://b/m.png" in str(raised.value)
    assert "#{:02X}{:02X}{:02X}".format(*color) in str(raised.value)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (file(Image.new("RGB", (4, 3), WHITE), "JPEG"), "JPEG"),
        (file(Image.new("RGB", (3, 4), WHITE)), "3x4"),
        (file(Image.new("RGB", (4, 3), WHITE))[:50], "damaged"),
        (b"", "no bytes"),
        (b"mask", "PNG"),
    ],
)
def test_what_is_no_mask_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(BadData, match=problem):
        read_mask(data, MASK, LABELS, 4, 3)
