"""Real cameras, a real broker: frames arrive, and a camera that goes blind is a record, whatever way it goes."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from vigia_contracts.cameras import FolderSource, MjpegSource, OverloadPolicy, RtspSource, SyntheticSource
from vigia_contracts.faults import FaultKind
from vigia_contracts.frames import FRAME_CAPTURED
from vigia_ingestion.app.camera import Pace
from vigia_ingestion.domain.synthetic import part
from vigia_stack.camera.mjpeg import MjpegCamera
from vigia_stack.camera.rtsp import RtspCamera
from vigia_stack.camera.schedule import Line, Photograph

from .conftest import Plant, camera, jpeg, number_in, until


def line(fps: float = 10, parts: int = 5) -> Line:
    return Line([Photograph(f"{number}.jpg", jpeg(number)) for number in range(parts)], fps=fps)


async def test_rtsp_frames_arrive_at_once_and_in_order(plant: Plant, tmp_path: Path) -> None:
    shown = line(fps=1)
    shown.log = tmp_path / "shown.jsonl"
    async with RtspCamera(shown) as server, plant.replica():
        await plant.announce(camera(RtspSource(url=server.url)))
        await until(lambda: len(plant.frames) >= 3)
    frames = plant.frames[:3]
    assert [number_in(frame.data) for frame in frames] == [0, 1, 2]  # type: ignore[arg-type]
    assert {(frame.type, frame.key, frame.subject) for frame in frames} == {(FRAME_CAPTURED, "c1", "c1")}
    assert len({frame.source for frame in frames}) == 1
    assert frames[0].source.startswith("/cameras/c1/")
    assert [frame.id for frame in frames] == ["0", "1", "2"]
    # A picture held back until the next one begins would be captured a whole second after it was sent.
    sent = [datetime.fromisoformat(json.loads(text)["sent_at"]) for text in shown.log.read_text().splitlines()]
    delays = [(frame.time - at).total_seconds() for frame, at in zip(frames, sent, strict=False)]
    assert sorted(delays)[1] < 0.5, delays
    assert plant.faults == []


async def test_a_torn_picture_is_counted_and_never_judged(plant: Plant) -> None:
    server = RtspCamera(line(fps=5))
    whole = server._clip.units
    # The last slice of picture 2 never comes; the delimiter after it does.
    last = max(number for number, nal in enumerate(whole[2]) if nal[0] & 31 == 5)
    torn = tuple(nal for number, nal in enumerate(whole[2]) if number != last)
    assert sum(nal[0] & 31 == 5 for nal in torn) >= 1
    server._clip = replace(server._clip, units=(*whole[:2], torn, *whole[3:]))
    async with server, plant.replica(Pace(faults=0.5)):
        await plant.announce(camera(RtspSource(url=server.url)))
        await until(lambda: len(plant.frames) >= 4 and plant.faults)
    assert [number_in(frame.data) for frame in plant.frames[:4]] == [0, 1, 3, 4]  # type: ignore[arg-type]
    assert (plant.faults[0].kind, plant.faults[0].cause) == (FaultKind.INVALID, "codec")


async def test_a_camera_that_hangs_up_is_blind_until_it_is_back(plant: Plant) -> None:
    async with plant.replica():
        async with RtspCamera(line()) as server:
            port = int(server.url.rpartition(":")[2].partition("/")[0])
            await plant.announce(camera(RtspSource(url=server.url)))
            await until(lambda: len(plant.frames) >= 3)
        await until(lambda: plant.faults)
        before = len(plant.frames)
        async with RtspCamera(line(), port=port):
            await until(lambda: len(plant.frames) > before)
            await until(lambda: len(plant.faults) >= 2)
    opened, closed = plant.faults[:2]
    assert (opened.kind, opened.cause, opened.ended_at) == (FaultKind.BLIND, "disconnected", None)
    assert (opened.camera_id, opened.line_id) == ("c1", "l1")
    assert closed.fault_id == opened.fault_id
    assert closed.ended_at is not None
    assert closed.ended_at > opened.started_at
    assert len({frame.source for frame in plant.frames}) == 2
    assert len({(frame.source, frame.id) for frame in plant.frames}) == len(plant.frames)


async def test_a_frozen_camera_is_noticed_and_read_again(plant: Plant) -> None:
    shown = line()
    async with RtspCamera(shown) as server, plant.replica():
        await plant.announce(camera(RtspSource(url=server.url), blind_after_seconds=1.5))
        await until(lambda: len(plant.frames) >= 3)
        shown.stalled = True
        await until(lambda: plant.faults)
        before = len(plant.frames)
        shown.stalled = False
        await until(lambda: len(plant.frames) > before and len(plant.faults) >= 2)
    assert plant.faults[0].cause == "stalled"
    assert plant.faults[1].fault_id == plant.faults[0].fault_id
    assert plant.faults[1].ended_at is not None


async def test_a_camera_that_is_not_there_is_a_fault_and_no_secret_is_told(plant: Plant) -> None:
    async with plant.replica():
        await plant.announce(camera(RtspSource(url="rtsp://user:hunter2@127.0.0.1:9/line")))
        await until(lambda: plant.faults)
        assert plant.faults[0].cause == "refused"
        # A camera that nobody wants any more is not blind: the fault ends, none follows.
        await plant.forget("c1")
        await until(lambda: len(plant.faults) >= 2)
    assert plant.faults[1].ended_at is not None
    assert "hunter2" not in "".join(str(fault.detail) for fault in plant.faults)


async def test_a_wrong_password_is_told_as_such(plant: Plant) -> None:
    async with RtspCamera(line(), credentials=("operator", "right")) as server, plant.replica():
        address = server.url.removeprefix("rtsp://")
        await plant.announce(camera(RtspSource(url=f"rtsp://operator:wrong@{address}")))
        await until(lambda: plant.faults)
        await plant.announce(camera(RtspSource(url=f"rtsp://operator:right@{address}")))
        await until(lambda: plant.frames)
    assert plant.faults[0].cause == "auth"


async def test_mjpeg_is_passed_on_byte_for_byte(plant: Plant) -> None:
    async with plant.replica():
        async with MjpegCamera(line()) as server:
            await plant.announce(camera(MjpegSource(url=server.url)))
            await until(lambda: len(plant.frames) >= 5)
        await until(lambda: plant.faults)
    assert [frame.data for frame in plant.frames[:5]] == [jpeg(number) for number in range(5)]
    assert plant.faults[0].cause in {"disconnected", "refused"}


async def test_files_of_a_folder_come_once_in_order_of_name(plant: Plant, tmp_path: Path) -> None:
    def write(name: str, data: bytes) -> None:
        hidden = tmp_path / f".{name}.part"
        hidden.write_bytes(data)
        hidden.rename(tmp_path / name)

    for number in (2, 0, 1):
        write(f"{number}.jpg", jpeg(number))
    (tmp_path / "notes.txt").write_text("no image")
    wanted = camera(FolderSource(path=str(tmp_path)))
    async with plant.replica():
        await plant.announce(wanted)
        await until(lambda: len(plant.frames) >= 3)
        (tmp_path / "3.jpg").write_bytes(jpeg(3)[:500])
        # Of each look, files are taken in order: what comes after the half file has been passed over it.
        write("4.jpg", jpeg(4))
        await until(lambda: len(plant.frames) >= 4)
        (tmp_path / "3.jpg").write_bytes(jpeg(3))
        await until(lambda: len(plant.frames) >= 5)
    async with plant.replica():
        # None comes again: not before the next one, and not before the one after that.
        write("5.jpg", jpeg(5))
        await until(lambda: len(plant.frames) >= 6)
        write("6.jpg", jpeg(6))
        await until(lambda: len(plant.frames) >= 7)
    assert [frame.data for frame in plant.frames] == [jpeg(number) for number in (0, 1, 2, 4, 3, 5, 6)]
    assert {frame.source for frame in plant.frames} == {"/cameras/c1/folder"}
    assert plant.faults == []


async def test_a_missing_folder_is_a_fault_until_it_is_there(plant: Plant, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    async with plant.replica():
        await plant.announce(camera(FolderSource(path=str(folder))))
        await until(lambda: plant.faults)
        folder.mkdir()
        (folder / "0.jpg").write_bytes(jpeg(0))
        await until(lambda: plant.frames and len(plant.faults) >= 2)
    assert plant.faults[0].cause == "not_found"


async def test_the_synthetic_line_tells_the_truth_and_ends(plant: Plant) -> None:
    source = SyntheticSource(width=64, height=48, defect_rate=0.5, seed=7, limit=40)
    async with plant.replica():
        await plant.announce(camera(source, frames_per_second=200, overload=OverloadPolicy.EVERY))
        await until(lambda: len(plant.frames) >= 40)
    assert [frame.extensions["partid"] for frame in plant.frames] == [part(source, i).part_id for i in range(40)]
    assert plant.faults == []


async def test_a_disabled_camera_stops_without_a_fault_and_starts_again(plant: Plant) -> None:
    wanted = camera(SyntheticSource(width=64, height=48), frames_per_second=50)
    async with plant.replica() as supervisor:
        await plant.announce(wanted)
        await until(lambda: len(plant.frames) >= 3)
        await plant.announce(wanted.model_copy(update={"enabled": False}))
        await until(lambda: not supervisor.cameras)
        before = len(plant.frames)
        await plant.announce(wanted)
        await until(lambda: len(plant.frames) > before + 3)
    assert plant.faults == []


async def test_a_second_replica_takes_over_the_cameras_of_the_first(plant: Plant) -> None:
    names = [f"c{number}" for number in range(6)]
    for name in names:
        await plant.announce(camera(SyntheticSource(width=32, height=32), name, frames_per_second=20))
    async with plant.replica() as first:
        await until(lambda: len(first.cameras) == 6)
        async with plant.replica() as second:
            await until(lambda: second.cameras and len(first.cameras) + len(second.cameras) == 6)
            assert not first.cameras.keys() & second.cameras.keys()
        await until(lambda: len(first.cameras) == 6)
    assert {frame.key for frame in plant.frames} == set(names)
