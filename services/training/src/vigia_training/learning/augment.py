"""Variations of a training image that leave its truth alone: place, light, and what cameras and codecs do to it."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from torch.nn import functional as fn

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Variation:
    """Bounds of the random changes: degrees, shares of the image's size, factors."""

    rotation: float = 180.0
    scale: float = 0.12
    shift: float = 0.06
    flip: bool = True
    light: float = 0.2
    contrast: float = 0.2
    tint: float = 0.08


def vary(
    image: Pixels, masks: NDArray[np.float32], rng: np.random.Generator, bounds: Variation
) -> tuple[Pixels, NDArray[np.float32]]:
    """One random variation of ``image`` uint8 ``[H, W, 3]`` with its ``masks`` float32 ``[L, H, W]`` of 0..1."""
    moved, moved_masks = _move(image, masks, rng, bounds)
    return _photograph(_light(moved, rng, bounds), rng), moved_masks


def _move(
    image: Pixels, masks: NDArray[np.float32], rng: np.random.Generator, bounds: Variation
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    height, width = image.shape[:2]
    angle = math.radians(rng.uniform(-bounds.rotation, bounds.rotation))
    factor = 1 / rng.uniform(1 - bounds.scale, 1 + bounds.scale)
    cos, sin = math.cos(angle) * factor, math.sin(angle) * factor
    ratio = height / width
    flip = -1.0 if bounds.flip and rng.random() < 0.5 else 1.0
    dx, dy = rng.uniform(-2 * bounds.shift, 2 * bounds.shift, 2)
    # grid_sample's axes run from -1 to 1 over each side: the ratio keeps a rotation a rotation.
    matrix = torch.tensor([[[cos * flip, -sin * ratio, dx], [sin * flip / ratio, cos, dy]]], dtype=torch.float32)
    layers = np.concatenate([image.transpose(2, 0, 1).astype(np.float32), masks * 255])
    tensor = torch.from_numpy(layers)[None]
    grid = fn.affine_grid(matrix, list(tensor.shape), align_corners=False)
    sampled = fn.grid_sample(tensor, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    moved: NDArray[np.float32] = sampled[0].numpy()
    return np.ascontiguousarray(moved[:3].transpose(1, 2, 0)), np.multiply(moved[3:], 1 / 255, dtype=np.float32)


def _light(image: NDArray[np.float32], rng: np.random.Generator, bounds: Variation) -> Pixels:
    mean = image.mean()
    gain = rng.uniform(1 - bounds.light, 1 + bounds.light)
    tint = rng.uniform(1 - bounds.tint, 1 + bounds.tint, 3) if rng.random() < 0.5 else 1.0
    contrast = rng.uniform(1 - bounds.contrast, 1 + bounds.contrast)
    lit = ((image - mean) * contrast + mean * gain) * tint
    return np.asarray(np.clip(lit, 0, 255), dtype=np.uint8)


def _photograph(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Blur, noise and compression, each on some of the images."""
    if rng.random() < 0.25:
        blurred = Image.fromarray(image).filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.0)))
        image = np.asarray(blurred)
    if rng.random() < 0.25:
        noise = rng.standard_normal(image.shape, dtype=np.float32) * rng.uniform(1, 6)
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=int(rng.integers(55, 95)))
        image = np.asarray(Image.open(file))
    return image
