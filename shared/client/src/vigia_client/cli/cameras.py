"""`vigia cameras`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vigia_client.api import ApiError, Vigia
from vigia_client.cli.output import AsJson, console, print_json, print_table
from vigia_contracts.cameras import OverloadPolicy

app = typer.Typer(help="The cameras, and how they are read.", no_args_is_help=True)
CameraId = Annotated[str, typer.Argument(metavar="CAMERA")]


@app.command("add")
def add(
    camera: CameraId,
    rtsp: Annotated[str | None, typer.Option(help="Read this address: rtsp://[user:password@]host/path.")] = None,
    mjpeg: Annotated[str | None, typer.Option(help="Read this address: http://…, multipart JPEG.")] = None,
    folder: Annotated[Path | None, typer.Option(help="Read the images that appear in this folder.")] = None,
    push: Annotated[bool, typer.Option("--push", help="Images are posted to /api/v1/frames/CAMERA.")] = False,
    synthetic: Annotated[bool, typer.Option("--synthetic", help="A generated line, for trials.")] = False,
    line: Annotated[str | None, typer.Option(help="The line it stands at.")] = None,
    station: Annotated[str | None, typer.Option(help="Where on the line.")] = None,
    product: Annotated[str | None, typer.Option(help="What it sees.")] = None,
    project: Annotated[str | None, typer.Option(help="Whose hosted model judges.")] = None,
    model_version: Annotated[str | None, typer.Option(help="The one version that may judge.")] = None,
    overload: Annotated[OverloadPolicy | None, typer.Option(help="Drop the oldest frame, or never drop.")] = None,
    fps: Annotated[float | None, typer.Option(help="Frames a second to expect.")] = None,
    budget: Annotated[float | None, typer.Option(help="Seconds from capture to decision.")] = None,
    blind_after: Annotated[float | None, typer.Option(help="Seconds of silence that count as blind.")] = None,
    disabled: Annotated[bool, typer.Option("--disabled", help="Do not read it yet.")] = False,
) -> None:
    """Create a camera, or replace the one of that name. Give exactly one source."""
    given: list[dict[str, Any]] = [
        *([{"kind": "rtsp", "url": rtsp}] if rtsp else []),
        *([{"kind": "mjpeg", "url": mjpeg}] if mjpeg else []),
        *([{"kind": "folder", "path": str(folder.resolve())}] if folder else []),
        *([{"kind": "push"}] if push else []),
        *([{"kind": "synthetic"}] if synthetic else []),
    ]
    if len(given) != 1:
        raise typer.BadParameter("give exactly one of --rtsp, --mjpeg, --folder, --push, --synthetic")
    rules = {
        "overload": overload.value if overload else None,
        "frames_per_second": fps,
        "budget_seconds": budget,
        "blind_after_seconds": blind_after,
    }
    policy = {name: value for name, value in rules.items() if value is not None}
    with Vigia.of() as vigia:
        known = _exists(vigia, camera)
        vigia.put_camera(
            camera,
            given[0],
            line_id=line,
            station=station,
            product=product,
            project=project,
            model_version=model_version,
            enabled=not disabled,
            policy=policy or None,
        )
    console.print(f"camera {camera} {'replaced' if known else 'created'}")


@app.command("list")
def index(
    line: Annotated[str | None, typer.Option(help="Only the cameras of this line.")] = None, json: AsJson = False
) -> None:
    """Show all cameras."""
    with Vigia.of() as vigia:
        rows = list(vigia.cameras(line))
    if json:
        print_json(rows)
        return
    shown = [
        (
            row["camera_id"],
            row["line_id"],
            row["project"],
            "yes" if row["enabled"] else "no",
            row["source"]["kind"],
            row["source"].get("url") or row["source"].get("path"),
            row["policy"]["overload"],
        )
        for row in rows
    ]
    titles = ("CAMERA", "LINE", "PROJECT", "ENABLED", "SOURCE", "ADDRESS", "POLICY")
    print_table(titles, shown, "no cameras yet: vigia cameras add CAMERA --rtsp ADDRESS")


@app.command("rm")
def remove(camera: CameraId) -> None:
    """Delete a camera. Its inspections stay."""
    with Vigia.of() as vigia:
        vigia.remove_camera(camera)
    console.print(f"camera {camera} deleted")


@app.command("enable")
def enable(camera: CameraId) -> None:
    """Read the camera again."""
    with Vigia.of() as vigia:
        vigia.enable_camera(camera)
    console.print(f"camera {camera} enabled")


@app.command("disable")
def disable(camera: CameraId) -> None:
    """Read the camera no more, until it is enabled."""
    with Vigia.of() as vigia:
        vigia.enable_camera(camera, False)
    console.print(f"camera {camera} disabled")


def _exists(vigia: Vigia, camera: str) -> bool:
    try:
        vigia.camera(camera)
    except ApiError as error:
        if error.status != 404:
            raise
        return False
    return True
