"""The committed dashboards are what the code builds, and every metric in them is one that exists."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "grafana"
BOARDS = sorted((FOLDER / "out").glob("*.json"))
#: Exposed by something that is not in the catalogue: the aggregator's collector, Prometheus and Triton.
ELSEWHERE = {
    "vigia_inspections_total",
    "vigia_inspection_latency_seconds",
    "vigia_camera_last_frame_age_seconds",
    "vigia_defect_rate",
    "vigia_customlabels_inference_units",
    "vigia_customlabels_requests_total",
    "vigia_lookout_requests_total",
    "vigia_lookout_anomalies_total",
    "vigia_lookout_images_total",
    "vigia_lookout_inference_units",
    "up",
    "nv_inference_queue_duration_us",
    "nv_inference_request_success",
}


def panels(board: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for panel in board["panels"]:
        yield panel
        yield from panel.get("panels", [])


def expressions(board: dict[str, Any]) -> list[str]:
    return [t["expr"] for panel in panels(board) for t in panel.get("targets", []) if "expr" in t]


def catalogue() -> set[str]:
    from prometheus_client.metrics import MetricWrapperBase

    from vigia_runtime import metrics

    found = set()
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            kind = metric._type
            found.add(metric._name + ("_total" if kind == "counter" else ""))
    return found


def test_committed_dashboards_are_current() -> None:
    command = [sys.executable, str(FOLDER / "src" / "dashboards.py"), "--check"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("path", BOARDS, ids=lambda p: p.stem)
def test_every_metric_exists(path: Path) -> None:
    known = catalogue() | ELSEWHERE
    found = expressions(json.loads(path.read_text()))
    assert found
    for expression in found:
        named = re.sub(r"\{[^}]*\}|\[[^\]]*\]|by \([^)]*\)", "", expression)
        for name in re.findall(r"\b(?:vigia|nv)_[a-z_]+\b", named):
            assert re.sub(r"_(bucket|sum|count)$", "", name) in known, name


@pytest.mark.parametrize("path", BOARDS, ids=lambda p: p.stem)
def test_every_panel_has_a_title_a_source_and_a_query(path: Path) -> None:
    board = json.loads(path.read_text())
    assert board["uid"].startswith("vigia-")
    shown = [panel for panel in panels(board) if panel["type"] != "row"]
    assert len(shown) >= 4
    for panel in shown:
        assert panel["title"]
        assert panel["datasource"]["uid"] in {"vigia-prometheus", "vigia-postgres"}
        assert panel["targets"], panel["title"]


@pytest.mark.parametrize("path", BOARDS, ids=lambda p: p.stem)
def test_any_time_range_can_be_chosen(path: Path) -> None:
    board = json.loads(path.read_text())
    assert not board.get("timepicker", {}).get("hidden")
    assert board["refresh"]
    for panel in panels(board):
        assert not panel.get("timeFrom"), panel["title"]
        for target in panel.get("targets", []):
            assert "$__timeFilter(" in target.get("rawSql", "$__timeFilter("), panel["title"]
