"""``make demo``: the main job, step by step, on real photographs. Exits 0 only if every step worked."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import boto3
import httpx
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.table import Table

from vigia_client import environment as client_environment
from vigia_client.api import ApiError, Vigia
from vigia_stack import paths
from vigia_stack.demo import line as sample_line
from vigia_stack.demo.counts import Counters
from vigia_stack.demo.line import Result, Seen, Watch
from vigia_stack.demo.project import NAME, Project
from vigia_stack.errors import StackError

_COLORS = {"PASS": "green", "REJECT": "red", "REVIEW": "yellow", "INVALID": "magenta"}


class Demo:
    """Runs the steps and prints one line for each."""

    def __init__(self, console: Console, samples: Path, state: Path) -> None:
        self._console = console
        self._samples = samples
        self._log = state / "log" / "demo-camera.jsonl"
        self._started = time.monotonic()
        self._problems: list[str] = []

    def say(self, text: str) -> None:
        """One line of progress."""
        self._console.print(f"[dim]{time.monotonic() - self._started:6.1f} s[/dim]  {text}", highlight=False)

    def run(self) -> int:
        """The exit code."""
        environment = os.environ
        project = Project(
            boto3.client("lookoutvision"), boto3.client("s3"), environment["VIGIA_BUCKET"], self._samples, self.say
        )
        version = self._model(project)
        counters = Counters(
            environment["VIGIA_KAFKA"], environment["VIGIA_POSTGRES"], environment["VIGIA_PROMETHEUS"].rstrip("/")
        )
        with Vigia.of() as api:
            before = asyncio.run(counters.settled())
            result = self._play(api, version)
            after = asyncio.run(counters.settled())
        self._summary(result, version)
        counted = after.since(before)
        self._console.print(
            f"Counted: {counted.kafka} by Kafka offsets, {counted.postgres} rows in Postgres, "
            f"{counted.prometheus} by Prometheus",
            highlight=False,
        )
        if not counted.agree:
            self._problems.append("the three counts differ")
        self._addresses()
        for problem in self._problems:
            self._console.print(f"[red]Not as it should be: {problem}[/red]")
        return 1 if self._problems else 0

    def _model(self, project: Project) -> str:
        project.create()
        self.say(f"{project.upload()} photographs, masks and manifest uploaded")
        stats = project.dataset()
        self.say(f"dataset: {stats['Total']} images, {stats['Normal']} normal, {stats['Anomaly']} anomalous")
        version, description, seconds = project.train()
        self.say(f"model version {version} [bold]TRAINED[/bold] in {seconds:.0f} s")
        metrics = project.evaluation(description)
        self.say(
            f"  on images held back: precision {metrics['Precision']:.3f}, recall {metrics['Recall']:.3f}, "
            f"F1 {metrics['F1Score']:.3f}"
        )
        for label in metrics.get("PixelAnomalyClassMetrics", []):
            self.say(f"  {label['ClassName']}: F1 {label['F1Score']:.3f}, IoU {label['AIIOU']:.3f}")
        seconds = project.host(version)
        self.say(f"model version {version} [bold]HOSTED[/bold] in {seconds:.1f} s")
        for other in project.retire_others(version):
            self.say(f"model version {other} stopped")
        return version

    def _play(self, api: Vigia, version: str) -> Result:
        folder = self._samples / "test-images"
        photographs = [p for p in folder.iterdir() if p.suffix == ".jpg"]
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._log.write_text("")
        result = Result()
        with sample_line.camera(folder, self._log) as address:
            watch = Watch(api, self._log, len(photographs))
            sample_line.register(api, NAME, address)
            self.say(f"line {sample_line.LINE}, camera {sample_line.CAMERA}: {address}, one part a second")
            try:
                for seen in watch.parts():
                    result.seen.append(seen)
                    self._show(seen)
            finally:
                sample_line.switch_off(api)
        if sorted(seen.file for seen in result.seen) != sorted(p.name for p in photographs):
            self._problems.append(f"{len(photographs)} parts were shown and {len(result.seen)} were seen")
        if any(seen.inspection.get("model_version") != version for seen in result.seen):
            self._problems.append(f"not every part was judged by version {version}")
        if len(photographs) - result.right > 1:
            self._problems.append(f"{len(photographs) - result.right} parts were judged wrongly")
        return result

    def _show(self, seen: Seen) -> None:
        found = seen.inspection
        score, threshold = found.get("score"), found.get("threshold")
        numbers = f"score {score:.3f} / {threshold:.3f}" if score is not None else str(found.get("cause"))
        verdict = found["verdict"]
        truth = "anomaly" if seen.anomalous else "normal"
        judged = "[green]right[/]" if seen.right else "[red]WRONG[/]"
        self.say(
            f"{seen.file:<22} [{_COLORS[verdict]}]{verdict:<7}[/] {numbers}  {seen.latency * 1000:5.0f} ms  "
            f"truth: {truth:<7} {judged}"
        )

    def _summary(self, result: Result, version: str) -> None:
        table = Table(title=f"Line {sample_line.LINE}, model version {version}", show_header=False)
        table.add_row("Parts seen", str(len(result.seen)))
        for verdict in _COLORS:
            table.add_row(verdict, str(result.count(verdict)))
        table.add_row("Right / wrong", f"{result.right} / {len(result.seen) - result.right}")
        if result.seen:
            table.add_row(
                "Capture to readable row", f"median {result.median * 1000:.0f} ms, p99 {result.p99 * 1000:.0f} ms"
            )
        self._console.print(table)

    def _addresses(self) -> None:
        url, prometheus = os.environ["VIGIA_URL"], os.environ["VIGIA_PROMETHEUS"]
        for what, where in (
            ("AWS protocol and /api/v1", url),
            ("Prometheus", prometheus),
            ("history", ". .venv/bin/activate; set -a; . .vigia/client.env; set +a; vigia inspections"),
            ("the line again", "make demo, which trains the next version"),
        ):
            self._console.print(f"{what:<26} {where}", highlight=False)


def start_stack(state: Path) -> None:
    """Starts every part of this clone's stack and makes its client settings this process's own."""
    if subprocess.run([sys.executable, "-m", "vigia_stack", "up"], check=False).returncode != 0:
        raise StackError("the stack did not start")
    settings = client_environment.parse((state / "client.env").read_text())
    # Whatever AWS account the shell works with otherwise, the demo talks to its own stack.
    for name in [name for name in os.environ if name.startswith(("AWS_", "VIGIA_"))]:
        del os.environ[name]
    os.environ.update(settings)


def main() -> None:
    """Runs the demo."""
    console = Console(soft_wrap=True)
    state = paths.default_state()
    demo = Demo(console, paths.repository() / "shared" / "samples" / "cookies", state)
    try:
        start_stack(state)
        sys.exit(demo.run())
    except (StackError, ApiError, ClientError, BotoCoreError, httpx.HTTPError, KeyError) as error:
        console.print(f"[red]The demo ended early: {type(error).__name__}: {error}[/red]")
        sys.exit(1)


if __name__ == "__main__":
    main()
