"""`vigia-stack`: start, stop and look at the stack of this clone."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from vigia_stack import client, paths
from vigia_stack.errors import StackError, tail
from vigia_stack.parts.base import Part
from vigia_stack.plan import build, everything
from vigia_stack.process import Command, Process, adopt, spawn
from vigia_stack.site import Site
from vigia_stack.supervise import PID_FILE, status_file

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The parts of Vigia on this machine.")
Parts = Annotated[list[str] | None, typer.Argument(help="parts to start, with all they need; none: all")]
State = Annotated[Path | None, typer.Option(help="state folder; default: .vigia at the root of the clone")]


def _site(state: Path | None) -> Site:
    return Site(state or paths.default_state(), well_known_ports=True)


def _supervisor(site: Site) -> Process | None:
    return adopt(site.pid_file(PID_FILE))


def _read(site: Site) -> dict[str, dict[str, Any]]:
    try:
        parts: dict[str, dict[str, Any]] = json.loads(status_file(site).read_text())["parts"]
    except FileNotFoundError:
        return {}
    return parts


@app.command()
def up(parts: Parts = None, state: State = None, within: Annotated[float, typer.Option(help="seconds")] = 300) -> None:
    """Start what does not run and wait until everything answers."""
    site = _site(state)
    names = parts or list(everything(site))
    wanted = [job.name for job in build(site, names)]
    began = time.monotonic()
    running = _supervisor(site)
    if running is None:
        status_file(site).unlink(missing_ok=True)
        running = _start_supervisor(site, wanted)
    elif missing := set(wanted) - _read(site).keys():
        raise StackError(f"the running stack has no {', '.join(sorted(missing))}; `vigia-stack down` first")
    _follow(site, running, wanted, within)
    file = client.write(_site(state))  # a new look: the supervisor has chosen the ports meanwhile
    typer.echo(f"everything is up after {time.monotonic() - began:.1f} s; settings for clients: {file}")


def _start_supervisor(site: Site, names: list[str]) -> Process:
    argv = [sys.executable, "-m", "vigia_stack.supervise", str(site.state), *names]
    log = site.log(PID_FILE)
    log.parent.mkdir(exist_ok=True)
    return spawn(Command(argv, dict(os.environ)), log, site.pid_file(PID_FILE))


def _follow(site: Site, supervisor: Process, wanted: list[str], within: float) -> None:
    """Print a line for each part that becomes ready. Raises StackError for the first that fails."""
    deadline = time.monotonic() + within
    told: set[str] = set()
    while len(told) < len(wanted):
        parts = _read(site)
        for name in wanted:
            part = parts.get(name, {"state": "waiting"})
            if part["state"] == "failed":
                raise StackError(f"{name} failed: {part['message']}")
            if part["state"] in ("ready", "done") and name not in told:
                told.add(name)
                took = "was running" if part["adopted"] else f"{part['seconds']:.1f} s"
                typer.echo(f"[{len(told):2}/{len(wanted)}] {name:18} {part['state']}  {took:12} {part['address']}")
        if not supervisor.alive:
            raise StackError(f"the supervisor ended; its last lines:\n{tail(site.log(PID_FILE))}")
        if time.monotonic() > deadline:
            late = ", ".join(name for name in wanted if name not in told)
            raise StackError(f"not ready after {within:.0f} s: {late}; logs are in {site.log(PID_FILE).parent}")
        time.sleep(0.05)


def _without_supervisor(site: Site) -> str:
    left = [job.name for job in everything(site).values() if isinstance(job, Part) and adopt(site.pid_file(job.name))]
    if not left:
        return "the stack is down"
    return f"the supervisor was ended, these parts go on without it: {', '.join(left)}. `make up` takes them over."


@app.command()
def down(state: State = None) -> None:
    """Stop what `up` started, and nothing else. Data and ports stay."""
    site = _site(state)
    supervisor = _supervisor(site)
    if supervisor is not None:
        supervisor.stop(grace=120)
    orphans = 0  # parts that outlived a supervisor which was killed
    for job in reversed(list(everything(site).values())):
        process = adopt(site.pid_file(job.name)) if isinstance(job, Part) else None
        if process is not None and isinstance(job, Part):
            process.stop(job.grace, job.stop_signal)
            orphans += 1
    status_file(site).unlink(missing_ok=True)
    typer.echo("everything is down; data is kept" if supervisor is not None or orphans else "nothing was running")


@app.command()
def status(
    state: State = None, as_json: Annotated[bool, typer.Option("--json", help="as JSON for programs")] = False
) -> None:
    """Show every part: state, pid, restarts, address. Exits with 1 unless everything is ready."""
    site = _site(state)
    parts = _read(site) if _supervisor(site) is not None else {}
    if as_json:
        typer.echo(json.dumps(parts, indent=1))
    else:
        table = Table(box=None, pad_edge=False)
        for title in ("part", "state", "pid", "restarts", "start", "address"):
            table.add_column(title)
        for name, part in parts.items():
            seconds = "" if part["seconds"] is None else f"{part['seconds']:.1f} s"
            pid = "" if part["pid"] is None else str(part["pid"])
            table.add_row(name, part["state"], pid, str(part["restarts"]), seconds, part["address"])
        Console(width=140).print(table if parts else _without_supervisor(site))
    if not parts or any(part["state"] not in ("ready", "done") for part in parts.values()):
        raise typer.Exit(1)


@app.command()
def run(
    command: Annotated[list[str], typer.Argument(help="program and arguments, after --")], state: State = None
) -> None:
    """Run a program with the settings of client.env."""
    site = _site(state)
    environment = dict(os.environ)
    for line in client.write(site).read_text().splitlines():
        name, _, value = line.partition("=")
        environment[name] = value.strip("'")
    child = subprocess.Popen(command, env=environment)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _: child.send_signal(received))
    sys.exit(child.wait())


def main() -> None:
    """Entry point of `vigia-stack`."""
    try:
        with contextlib.suppress(KeyboardInterrupt):
            app()
    except StackError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
