"""The camera for tests is a real one: a reader gets every photograph, in order, soon after it was sent."""

from __future__ import annotations

import asyncio
import io
import json
import time
from datetime import UTC, datetime
from pathlib import Path

import av
import httpx
import numpy as np
import pytest
from PIL import Image

from vigia_stack.camera.mjpeg import MjpegCamera
from vigia_stack.camera.rtsp import RtspCamera
from vigia_stack.camera.schedule import Line, Photograph

BRIGHTNESS = (30, 90, 150, 210)


def photograph(brightness: int) -> Photograph:
    file = io.BytesIO()
    Image.fromarray(np.full((96, 128, 3), brightness, np.uint8)).save(file, "JPEG")
    return Photograph(f"part-{brightness}.jpg", file.getvalue())


def line(tmp_path: Path, fps: float = 5.0) -> Line:
    return Line([photograph(b) for b in BRIGHTNESS], fps=fps, once=True, log=tmp_path / "log")


def read(url: str, count: int, **options: str) -> list[tuple[float, float]]:
    """(Unix time, mean brightness) of the first ``count`` pictures."""
    found: list[tuple[float, float]] = []
    settings = {"rtsp_transport": "tcp", "probesize": "32", "analyzeduration": "0", **options}
    with av.open(url, options=settings, timeout=(5, 3)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for frame in container.decode(stream):
            found.append((time.time(), float(frame.to_ndarray(format="rgb24").mean())))
            if len(found) == count:
                break
    return found


async def test_every_photograph_arrives_at_once_and_in_order(tmp_path: Path) -> None:
    async with RtspCamera(line(tmp_path)) as camera:
        found = await asyncio.to_thread(read, camera.url, len(BRIGHTNESS))
    sent = [json.loads(text) for text in (tmp_path / "log").read_text().splitlines()]
    assert [entry["file"] for entry in sent] == [f"part-{b}.jpg" for b in BRIGHTNESS]
    for (arrived, brightness), entry, expected in zip(found, sent, BRIGHTNESS, strict=True):
        assert brightness == pytest.approx(expected, abs=4)
        # Less than the 200 ms to the next photograph: nothing is held back until that one comes.
        assert 0 <= arrived - datetime.fromisoformat(entry["sent_at"]).astimezone(UTC).timestamp() < 0.19


async def test_every_viewer_sees_the_line_from_its_start(tmp_path: Path) -> None:
    async with RtspCamera(line(tmp_path, fps=20)) as camera:
        both = await asyncio.gather(*(asyncio.to_thread(read, camera.url, 4) for _ in range(2)))
    for found in both:
        assert [round(b, -1) for _, b in found] == [round(float(b), -1) for b in BRIGHTNESS]


async def test_a_camera_with_credentials_turns_strangers_away(tmp_path: Path) -> None:
    async with RtspCamera(line(tmp_path, fps=20), credentials=("operator", "s3cret")) as camera:
        with pytest.raises(av.error.HTTPUnauthorizedError):
            await asyncio.to_thread(read, camera.url, 1)
        url = camera.url.replace("rtsp://", "rtsp://operator:s3cret@")
        assert len(await asyncio.to_thread(read, url, 2)) == 2


async def test_a_frozen_camera_keeps_its_viewers_waiting(tmp_path: Path) -> None:
    frozen = line(tmp_path, fps=20)
    frozen.stalled = True
    async with RtspCamera(frozen) as camera:
        with pytest.raises((av.error.FFmpegError, OSError)):
            await asyncio.to_thread(read, camera.url, 1, timeout="300000")


async def test_mjpeg_passes_the_photographs_on_unchanged(tmp_path: Path) -> None:
    shown = line(tmp_path, fps=20)
    body = b""
    async with MjpegCamera(shown) as camera, httpx.AsyncClient() as client, client.stream("GET", camera.url) as answer:
        assert answer.headers["content-type"] == "multipart/x-mixed-replace; boundary=part"
        async for chunk in answer.aiter_bytes():
            body += chunk
            if body.count(b"--part") == len(BRIGHTNESS) and shown.photographs[-1].data in body:
                break
    assert all(p.data in body for p in shown.photographs)
