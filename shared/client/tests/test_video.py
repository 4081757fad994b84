"""A video is looked at about once a second, with the guide's own times, and its answers are one JSON list."""

from __future__ import annotations

import base64
import io
import json
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from vigia_client.cli import app
from vigia_client.video import VideoError, frames

from .conftest import DoorStub

ARN = "arn:aws:rekognition:eu-west-1:111122223333:project/boards/version/v1/1700000000000"
GREEN = {"Name": "ok", "Confidence": 91.5}
BOX = {
    "Name": "scratch",
    "Confidence": 77.25,
    "Geometry": {"BoundingBox": {"Width": 0.5, "Height": 0.25, "Left": 0.1, "Top": 0.2}},
}


def film(path: Path, count: int, rate: Fraction, size: tuple[int, int] = (96, 64)) -> Path:
    """Frames whose grey is their number."""
    with av.open(str(path), "w") as video:
        stream = video.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = *size, "yuv420p", 8_000_000
        for number in range(count):
            pixels = np.full((size[1], size[0], 3), number, np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")):
                video.mux(packet)
        for packet in stream.encode():
            video.mux(packet)
    return path


def analyze(video: Path, *options: str) -> Result:
    return CliRunner(env={"COLUMNS": "300"}).invoke(app, ["analyze", "video", ARN, str(video), *options])


def grey(data: bytes) -> float:
    return float(np.asarray(Image.open(io.BytesIO(data), formats=["JPEG"])).mean())


@pytest.mark.parametrize(
    ("count", "rate", "expected"),
    [(25, Fraction(10), [0, 10, 20]), (62, Fraction(30000, 1001), [0, 29, 58]), (3, Fraction(1, 2), [0, 1, 2])],
)
def test_frames_are_those_of_the_guides_formula(
    tmp_path: Path, count: int, rate: Fraction, expected: list[int]
) -> None:
    found = list(frames(film(tmp_path / "line.mp4", count, rate)))
    assert [number for number, _, _ in found] == expected
    assert [milliseconds for _, milliseconds, _ in found] == pytest.approx([n / float(rate) * 1000 for n in expected])
    for number, _, data in found:
        assert grey(data) == pytest.approx(number, abs=3)


def test_answers_are_one_list_with_their_times(door: DoorStub, tmp_path: Path) -> None:
    video = film(tmp_path / "line.mov", 25, Fraction(10))
    door.answers = {
        "POST /": [(200, {"CustomLabels": [GREEN, BOX]}), (200, {"CustomLabels": []}), (200, {"CustomLabels": [BOX]})]
    }
    done = analyze(video)
    assert done.exit_code == 0, done.output
    assert "3 frames looked at" in done.output
    text = (tmp_path / "line.mov.json").read_text()
    expected = [GREEN | {"Timestamp": 0.0}, BOX | {"Timestamp": 0.0}, BOX | {"Timestamp": 2000.0}]
    assert text == json.dumps(expected)
    for number, asked in zip((0, 10, 20), door.asked, strict=True):
        headers = {name.lower(): value for name, value in asked.headers}
        assert headers["x-amz-target"] == "RekognitionService.DetectCustomLabels"
        sent: dict[str, Any] = json.loads(asked.body)
        assert sent.keys() == {"ProjectVersionArn", "Image"}
        assert grey(base64.b64decode(sent["Image"]["Bytes"])) == pytest.approx(number, abs=3)


def test_thresholds_and_the_outputs_place_are_given(door: DoorStub, tmp_path: Path) -> None:
    door.answers = {"POST /": (200, {"CustomLabels": []})}
    video = film(tmp_path / "line.mp4", 2, Fraction(10))
    out = tmp_path / "out.json"
    assert analyze(video, "--min-confidence", "40", "--max-results", "3", "--output", str(out)).exit_code == 0
    sent = json.loads(door.asked[0].body)
    assert (sent["MinConfidence"], sent["MaxResults"]) == (40.0, 3)
    assert out.read_text() == "[]"
    assert not (tmp_path / "line.mp4.json").exists()


def test_nothing_is_left_of_a_list_that_is_not_whole(door: DoorStub, tmp_path: Path) -> None:
    refused = (400, {"__type": "ResourceNotReadyException", "message": "The model is not running."})
    door.answers = {"POST /": [(200, {"CustomLabels": [GREEN]}), refused]}
    video = film(tmp_path / "line.mp4", 12, Fraction(10))
    done = analyze(video)
    assert done.exit_code == 1
    assert "The model is not running." in str(done.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["line.mp4"]


def test_what_is_no_video_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    with pytest.raises(VideoError, match=r"text\.mp4 cannot be read as video"):
        list(frames(text))
    sound = tmp_path / "sound.wav"
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        silence.sample_rate = 8000
        for packet in [*stream.encode(silence), *stream.encode()]:
            container.mux(packet)
    with pytest.raises(VideoError, match=r"sound\.wav has no video"):
        list(frames(sound))
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(VideoError, match="vigia-client\\[video\\]"):
        list(frames(text))


def test_a_large_frame_fits_into_a_request(tmp_path: Path) -> None:
    path = tmp_path / "large.avi"
    noise = np.random.default_rng(0).integers(0, 255, (2160, 5120, 3), np.uint8)
    with av.open(str(path), "w") as video:
        stream = video.add_stream("mjpeg", rate=1)
        stream.width, stream.height, stream.pix_fmt = 5120, 2160, "yuvj420p"
        for packet in [*stream.encode(av.VideoFrame.from_ndarray(noise, "rgb24")), *stream.encode()]:
            video.mux(packet)
    [(_, _, data)] = frames(path)
    assert len(data) <= 4 * 1024 * 1024
    assert Image.open(io.BytesIO(data)).size == (4096, 1728)


def test_a_picture_recorded_lying_is_seen_upright(tmp_path: Path) -> None:
    path = tmp_path / "telephone.mp4"
    pixels = np.zeros((64, 96, 3), np.uint8)
    pixels[:, 48:] = 255  # black on the left, white on the right
    with av.open(str(path), "w") as video:
        stream = video.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for packet in [*stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")), *stream.encode()]:
            video.mux(packet)
    as_it_is, by_a_quarter = (
        b"".join(value.to_bytes(4, "big", signed=True) for value in (a, b, 0, c, d))
        for a, b, c, d in ((0x10000, 0, 0, 0x10000), (0, 0x10000, -0x10000, 0))
    )
    data = path.read_bytes()
    track = data.index(as_it_is, data.index(b"tkhd"))
    path.write_bytes(data[:track] + by_a_quarter + data[track + len(by_a_quarter) :])
    [(_, _, seen)] = frames(path)
    upright = np.asarray(Image.open(io.BytesIO(seen)).convert("L"))
    assert upright.shape == (96, 64)
    # Turned clockwise by a quarter, the left is at the top.
    assert upright[:40].mean() < 10 < 245 < upright[-40:].mean()
