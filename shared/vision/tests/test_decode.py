"""Untrusted bytes end as pixels or as a DecodeError, soon, and nothing else."""

from __future__ import annotations

import io
import struct
import time
import zlib
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vigia_vision import DecodeError, Limits, decode, probe
from vigia_vision.decode import opacity


def encoded(mode: str, kind: str, size: tuple[int, int] = (70, 50), **options: object) -> bytes:
    file = io.BytesIO()
    noise = np.random.default_rng(7).integers(0, 256, size[::-1], dtype=np.uint8)
    Image.fromarray(noise).convert(mode).save(file, kind, **options)
    return file.getvalue()


JPEG = encoded("RGB", "JPEG")
PNG = encoded("RGB", "PNG")


def png_header(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


def jpeg_header(width: int, height: int) -> bytes:
    return b"\xff\xd8\xff\xc0\x00\x11\x08" + struct.pack(">HH", height, width) + b"\x03" + bytes(9)


@given(st.binary(max_size=400))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(data)


@settings(max_examples=300, deadline=5000)
@given(st.sampled_from([JPEG, PNG]), st.data())
def test_damaged_images_decode_or_are_refused(whole: bytes, data: st.DataObject) -> None:
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert decode(bytes(damaged)).shape[2] == 3
    except DecodeError:
        return


@pytest.mark.parametrize("whole", [JPEG, PNG], ids=["jpeg", "png"])
def test_every_truncation_is_refused(whole: bytes) -> None:
    # The last bytes of a PNG are checksums and an empty end chunk, without which the pixels are complete.
    for end in range(0, len(whole) - 24, 7):
        with pytest.raises(DecodeError) as refused:
            decode(whole[:end])
        assert refused.value.code == "undecodable"


@pytest.mark.parametrize("header", [png_header, jpeg_header], ids=["png", "jpeg"])
@pytest.mark.parametrize("size", [(60_000, 8), (8, 60_000), (4097, 1), (60_000, 60_000)])
def test_an_image_too_large_is_refused_by_its_header(header, size: tuple[int, int]) -> None:  # type: ignore[no-untyped-def]
    started = time.perf_counter()
    with pytest.raises(DecodeError) as refused:
        decode(header(*size) + bytes(100))
    assert refused.value.code == "too_large"
    assert time.perf_counter() - started < 1


def test_more_bytes_than_allowed_are_not_read() -> None:
    with pytest.raises(DecodeError) as refused:
        probe(JPEG, Limits(max_bytes=len(JPEG) - 1))
    assert refused.value.code == "too_large"
    assert probe(JPEG, Limits(max_bytes=len(JPEG))).width == 70


@pytest.mark.parametrize(
    ("size", "code"),
    [
        ((64, 64), None),
        ((1280, 64), None),
        ((63, 64), "shape"),
        ((64, 63), "shape"),
        ((1281, 64), "shape"),
        ((64, 1281), "shape"),
        ((4097, 64), "too_large"),
    ],
)
def test_shapes_beyond_the_limits_are_refused(size: tuple[int, int], code: str | None) -> None:
    limits = Limits(min_side=64, max_aspect=20)
    file = io.BytesIO()
    Image.new("L", size).save(file, "PNG")
    if code is None:
        assert decode(file.getvalue(), limits).shape[:2] == size[::-1]
        return
    with pytest.raises(DecodeError) as caught:
        decode(file.getvalue(), limits)
    assert caught.value.code == code


def test_no_bytes_and_no_pixels_are_refused() -> None:
    for data in (b"", png_header(0, 10), jpeg_header(10, 0), b"GIF89a" + bytes(100)):
        with pytest.raises(DecodeError) as refused:
            decode(data)
        assert refused.value.code == "undecodable"


def test_a_jpeg_of_endless_scans_is_refused() -> None:
    progressive = encoded("RGB", "JPEG", progressive=True)
    first = JPEG.index(b"\xff\xda")
    of_one_channel = JPEG[: first + 4] + b"\x01" + JPEG[first + 5 :]
    for data in (progressive, of_one_channel):
        with pytest.raises(DecodeError, match="scans"):
            decode(data + b"\xff\xda" * 200)


def test_what_follows_a_scan_of_all_channels_is_not_decoded() -> None:
    first = JPEG.index(b"\xff\xda")
    with pytest.raises(DecodeError, match="damaged"):
        decode(JPEG[:-2] + JPEG[first:-2] * 200 + JPEG[-2:])
    comment = b"\xff\xfe" + (402).to_bytes(2, "big") + b"\xff\xda" * 200
    assert np.array_equal(decode(JPEG[:2] + comment + JPEG[2:]), decode(JPEG))


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("L", "JPEG"), ("CMYK", "JPEG"), ("RGB", "JPEG"), *((m, "PNG") for m in ("1", "L", "LA", "P", "RGB", "RGBA"))],
)
def test_every_common_mode_becomes_rgb(mode: str, kind: str) -> None:
    pixels = decode(encoded(mode, kind))
    assert pixels.shape == (50, 70, 3)
    assert pixels.dtype == np.uint8
    assert pixels.std() > 5


def test_progressive_jpeg_is_read() -> None:
    assert np.array_equal(decode(encoded("RGB", "JPEG", progressive=True)), decode(encoded("RGB", "JPEG")))


def test_sixteen_bit_grey_keeps_its_high_byte() -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    assert np.array_equal(decode(file.getvalue())[..., 0], (values >> 8).astype(np.uint8))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_opacity_is_what_decoding_drops(mode: str) -> None:
    whole = Image.new("RGBA", (70, 50), (200, 10, 10, 255))
    whole.paste((0, 0, 0, 0), (0, 0, 30, 50))
    file = io.BytesIO()
    whole.convert(mode).save(file, "PNG")
    found = opacity(file.getvalue())
    assert found is not None
    assert found.shape == decode(file.getvalue()).shape[:2]
    assert not found[:, :30].any()
    assert (found[:, 30:] == 255).all()


def test_images_without_transparency_have_no_opacity() -> None:
    assert opacity(JPEG) is None
    assert opacity(PNG) is None
    assert opacity(encoded("I;16", "PNG", transparency=7)) is None
    with pytest.raises(DecodeError):
        opacity(PNG[:200])


def test_alpha_is_dropped() -> None:
    file = io.BytesIO()
    Image.new("RGBA", (8, 8), (10, 20, 30, 0)).save(file, "PNG")
    assert decode(file.getvalue())[0, 0].tolist() == [10, 20, 30]


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_orientation_is_ignored(kind: str) -> None:
    exif = Image.Exif()
    exif[274] = 6  # turn by 90 degrees
    assert decode(encoded("RGB", kind, exif=exif)).shape == (50, 70, 3)


@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from(["JPEG", "PNG"]))
def test_the_header_tells_the_size(width: int, height: int, kind: str) -> None:
    data = encoded("RGB", kind, (width, height))
    info = probe(data)
    assert (info.width, info.height) == (width, height)
    assert decode(data).shape == (height, width, 3)


@pytest.mark.parametrize(
    ("mode", "kind"), [("L", "JPEG"), ("CMYK", "JPEG"), ("RGB", "JPEG"), ("RGB", "PNG"), ("P", "PNG")]
)
@pytest.mark.parametrize("shrink", [2, 4, 8])
def test_every_kind_of_image_is_shrunk_by_its_mean(mode: str, kind: str, shrink: Literal[2, 4, 8]) -> None:
    data = encoded(mode, kind)
    whole = np.asarray(Image.fromarray(decode(data)).reduce(shrink), float)
    small = decode(data, shrink=shrink)
    assert small.shape == whole.shape == (-(-50 // shrink), -(-70 // shrink), 3)
    assert np.abs(small - whole).mean() < 6
