"""Masks are read exactly as they are drawn."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vigia_vision.masks import MaskError, draw_mask, read_mask, rgb_of

COLORS = ["#FFFFFF", "#23A436", "#C81414", "#000000"]
INDEX = {rgb_of(color): place for place, color in enumerate(COLORS)}


@given(st.lists(st.integers(0, 3), min_size=12, max_size=12), st.sampled_from([1, 3, 12]))
def test_what_is_drawn_is_read_again(values: list[int], height: int) -> None:
    index = np.array(values, np.uint8).reshape(height, -1)
    png = draw_mask(index, COLORS)
    assert read_mask(png, INDEX, 12 // height, height).tolist() == index.tolist()
    with Image.open(io.BytesIO(png)) as image:
        image.verify()
    with Image.open(io.BytesIO(png)) as image:
        assert image.mode == "RGB"


def test_transparent_pixels_are_background_and_a_colour_out_of_the_map_is_named() -> None:
    pixels = np.array([[[200, 20, 20, 255], [200, 20, 20, 100], [1, 2, 3, 0]]], np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    assert read_mask(file.getvalue(), INDEX, 3, 1).tolist() == [[2, 0, 0]]
    with pytest.raises(MaskError, match="#C81414"):
        read_mask(file.getvalue(), {rgb_of("#FFFFFF"): 0}, 3, 1)
    with pytest.raises(MaskError, match="its image has 1x3"):
        read_mask(file.getvalue(), INDEX, 1, 3)
