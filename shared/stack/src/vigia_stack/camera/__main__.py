"""``python -m vigia_stack.camera FOLDER``: plays a folder of photographs as a line, until it is ended."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
from pathlib import Path

from vigia_stack.camera.mjpeg import MjpegCamera
from vigia_stack.camera.rtsp import RtspCamera
from vigia_stack.camera.schedule import Line


async def _serve(camera: RtspCamera | MjpegCamera) -> None:
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    async with camera:
        print(camera.url, flush=True)
        await stop.wait()


def main() -> None:
    """Parses the command line and serves."""
    parser = argparse.ArgumentParser(prog="vigia_stack.camera", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kind", choices=("rtsp", "mjpeg"), default="rtsp")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--fps", type=float, default=1.0, help="parts a second")
    parser.add_argument("--once", action="store_true", help="stand still after the last part")
    parser.add_argument("--crf", type=int, default=18, help="H.264 quality, lower is better")
    parser.add_argument("--log", type=Path, help="file that gets a JSON line per part shown")
    arguments = parser.parse_args()
    line = Line.of_folder(arguments.folder, fps=arguments.fps, once=arguments.once, log=arguments.log)
    camera = (
        RtspCamera(line, port=arguments.port, crf=arguments.crf)
        if arguments.kind == "rtsp"
        else MjpegCamera(line, port=arguments.port)
    )
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(camera))


if __name__ == "__main__":
    main()
