"""What a Custom Labels model finds in a video, about once a second."""

from __future__ import annotations

import importlib
import io
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from PIL import Image

from vigia_client.errors import ActionableError

#: Bytes of an image in a request, and pixels of its longer side, at most.
_MOST_BYTES: Final = 4 * 1024 * 1024
_LONGEST_SIDE: Final = 4096
#: Tried one after the other until an image fits into a request.
_QUALITIES: Final = (95, 85, 70, 50)

Json = dict[str, Any]


class VideoError(ActionableError):
    """The file cannot be read as video; the text says why."""


def analyze(
    rekognition: Any, model_arn: str, video: Path, output: Path, told: Callable[[int], None], **options: Any
) -> int:
    """Write what is found as one JSON list, whole or not at all; how many frames were looked at.

    Each element is one label as the service answers it, with its frame's ``Timestamp`` in milliseconds. ``options``:
    those of DetectCustomLabels. ``told`` is given the number of every frame that is looked at. VideoError, ClientError.
    """
    looked_at = 0
    part = output.with_name(f"{output.name}.part")
    try:
        with part.open("w", encoding="utf-8") as file:
            file.write("[")
            between = ""
            for number, milliseconds, data in frames(video):
                told(number)
                answer = rekognition.detect_custom_labels(ProjectVersionArn=model_arn, Image={"Bytes": data}, **options)
                looked_at += 1
                for label in answer["CustomLabels"]:
                    file.write(between + json.dumps(label | {"Timestamp": milliseconds}))
                    between = ", "
            file.write("]")
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)
    return looked_at


def frames(video: Path) -> Iterator[tuple[int, float, bytes]]:
    """Every frame whose number is a multiple of the whole frames per second: number from 0, milliseconds, JPEG."""
    av = _decoder()
    if not video.is_file():
        raise VideoError(f"{video} is no file")
    number = 0
    try:
        with av.open(str(video)) as container:
            if not container.streams.video:
                raise VideoError(f"{video} has no video")
            stream = container.streams.video[0]
            rate = float(stream.average_rate or stream.guessed_rate or 0)
            if not rate > 0:
                raise VideoError(f"{video} does not say how many frames a second it has")
            stream.thread_type = "AUTO"
            every = max(1, math.floor(rate))
            for frame in container.decode(stream):
                if number % every == 0:
                    yield number, number / rate * 1000, _jpeg(frame)
                number += 1
    except av.error.FFmpegError as error:
        where = f" after {number} frames" if number else ""
        raise VideoError(f"{video} cannot be read as video{where}: {error.strerror}") from error
    if not number:
        raise VideoError(f"{video} has no frame")


def _jpeg(frame: Any) -> bytes:
    """The frame as it is shown: telephones record upright pictures lying, with a note to turn them."""
    image: Image.Image = frame.to_image()
    if turned := frame.rotation % 360:
        image = image.rotate(turned, expand=True)
    image.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    data = io.BytesIO()
    for quality in _QUALITIES:
        data = io.BytesIO()
        image.save(data, "JPEG", quality=quality)
        if data.tell() <= _MOST_BYTES:
            break
    return data.getvalue()


def _decoder() -> Any:
    try:
        return importlib.import_module("av")
    except ImportError as error:
        raise VideoError("reading videos needs PyAV: pip install 'vigia-client[video]'") from error
