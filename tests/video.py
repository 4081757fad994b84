"""Photographs as cameras' compressed video shows them."""

from __future__ import annotations

import io

import av
import numpy as np
from PIL import Image

from vigia_vision import decode


def filmed(data: bytes) -> bytes:
    """The photograph as one frame of a camera's H.264 stream, saved as JPEG as ingestion does."""
    pixels = decode(data)
    file = io.BytesIO()
    with av.open(file, "w", "mp4") as video:
        stream = video.add_stream("libx264", rate=5)
        stream.height, stream.width = pixels.shape[:2]
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "23"}
        for packet in (p for _ in range(3) for p in stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24"))):
            video.mux(packet)
        for packet in stream.encode():
            video.mux(packet)
    file.seek(0)
    with av.open(file) as video:
        frame: np.ndarray = [f.to_ndarray(format="rgb24") for f in video.decode(video=0)][-1]
    out = io.BytesIO()
    Image.fromarray(frame).save(out, "JPEG", quality=90)
    return out.getvalue()
