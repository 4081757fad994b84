"""The dashboards. ``python deploy/grafana/src/dashboards.py`` writes them to ``deploy/grafana/out``."""

from __future__ import annotations

import sys
from pathlib import Path

from grafana_foundation_sdk.builders.dashboard import Dashboard, QueryVariable, Row
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import VariableRefresh
from panels import POSTGRES, PROMETHEUS, bands, figure, lines, promql, rows

OUT = Path(__file__).resolve().parents[1] / "out"
_LINE = 'line=~"$line"'


def _variable() -> QueryVariable:
    return (
        QueryVariable("line")
        .label("Line")
        .query("label_values(vigia_inspections_total, line)")
        .datasource(PROMETHEUS)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)
        .include_all(True)
        .all_value(".*")
    )


def _dashboard(title: str, uid: str, what: str) -> Dashboard:
    return (
        Dashboard(title)
        .uid(uid)
        .description(what)
        .tags(["vigia"])
        .refresh("5s")
        .time("now-30m", "now")
        .timezone("browser")
        .readonly()
    )


def line_overview() -> Dashboard:
    """For whoever stands at the line: is it good, is it seen, what was rejected last."""
    increase = f"increase(vigia_inspections_total{{{_LINE}}}[$__range])"
    judged = f'sum(increase(vigia_inspections_total{{{_LINE},verdict=~"PASS|REJECT|REVIEW"}}[$__range]))'
    rejected = f'sum(increase(vigia_inspections_total{{{_LINE},verdict="REJECT"}}[$__range]))'
    per_minute = f"sum by (verdict) (rate(vigia_inspections_total{{{_LINE}}}[1m])) * 60"
    return (
        _dashboard("Line overview", "vigia-line", "Defect rate, verdicts, last rejects and cameras of a line.")
        .with_variable(_variable())
        .with_row(Row("Now"))
        .with_panel(
            figure(
                "Defect rate",
                "percentunit",
                f"{rejected} / ({judged} > 0)",
                what="REJECT of all judged parts in the time range.",
            )
        )
        .with_panel(figure("Parts", "short", f"sum({increase})", what="Frames with an outcome in the time range."))
        .with_panel(
            figure(
                "Not judged",
                "short",
                f'sum(increase(vigia_inspections_total{{{_LINE},verdict="INVALID"}}[$__range])) or vector(0)',
                what="INVALID: nobody looked at these parts.",
                bad_from=1,
            )
        )
        .with_panel(
            figure(
                "To review",
                "short",
                f'sum(increase(vigia_inspections_total{{{_LINE},verdict="REVIEW"}}[$__range])) or vector(0)',
                what="Parts near the threshold, for a person to decide.",
            )
        )
        .with_panel(
            figure(
                "Oldest camera picture",
                "s",
                f"max(vigia_camera_last_frame_age_seconds{{{_LINE}}})",
                what="Time since the quietest camera's last inspected frame.",
            )
        )
        .with_panel(
            figure(
                "Latency p99",
                "s",
                f"histogram_quantile(0.99, sum by (le) (rate(vigia_inspection_latency_seconds_bucket{{{_LINE}}}[5m])))",
                what="Capture to decision.",
            )
        )
        .with_row(Row("Over time"))
        .with_panel(
            lines(
                "Defect rate",
                "percentunit",
                promql(f"vigia_defect_rate{{{_LINE}}}", "{{line}} {{camera}}"),
                what="REJECT / (PASS + REJECT + REVIEW), the last hour at each moment.",
            )
        )
        .with_panel(bands("Verdicts a minute", "short", promql(per_minute, "{{verdict}}")))
        .with_row(Row("Parts"))
        .with_panel(
            rows(
                "Last rejects",
                'select captured_at as "Captured", line_id as "Line", camera_id as "Camera", part_id as "Part", '
                'verdict as "Verdict", round(score::numeric, 4) as "Score", '
                'round(threshold::numeric, 4) as "Threshold", '
                'model_version as "Version", inspection_id as "Inspection" '
                "from inspection.inspections where verdict in ('REJECT', 'REVIEW') and not shadow "
                "and $__timeFilter(captured_at) order by captured_at desc limit 50",
                what="The image lies under /api/v1/inspections/<id>/image.",
            )
        )
        .with_row(Row("Cameras"))
        .with_panel(
            lines(
                "Age of last frame",
                "s",
                promql(f"vigia_camera_last_frame_age_seconds{{{_LINE}}}", "{{camera}}"),
                what="Grows while a camera is blind.",
            )
        )
        .with_panel(
            lines(
                "Reconnects in five minutes",
                "short",
                promql("sum by (camera) (increase(vigia_camera_reconnects_total[5m]))", "{{camera}}"),
            )
        )
        .with_panel(
            rows(
                "Blind and lost",
                'select started_at as "From", ended_at as "To", camera_id as "Camera", kind as "Kind", '
                'cause as "Cause", frames as "Frames", detail as "Detail" from inspection.faults '
                "where $__timeFilter(started_at) order by started_at desc limit 50",
                what="Stretches in which nobody looked, and frames that were dropped.",
                height=7,
            )
        )
    )


def pipeline() -> Dashboard:
    """For whoever runs it: where time goes, what waits, what is lost."""
    stage = "sum by (le, stage) (rate(vigia_inspection_stage_seconds_bucket[5m]))"
    return (
        _dashboard("Pipeline", "vigia-pipeline", "Latency by stage, lag, drops and faults.")
        .with_row(Row("Latency"))
        .with_panel(lines("Stages, median", "s", promql(f"histogram_quantile(0.5, {stage})", "{{stage}}")))
        .with_panel(lines("Stages, p99", "s", promql(f"histogram_quantile(0.99, {stage})", "{{stage}}")))
        .with_row(Row("What waits"))
        .with_panel(
            lines(
                "Consumer lag",
                "short",
                promql("sum by (topic, group) (vigia_consumer_lag_records)", "{{topic}} {{group}}"),
            )
        )
        .with_panel(
            lines(
                "Age of oldest unfinished record",
                "s",
                promql("max by (topic, group) (vigia_consumer_lag_seconds)", "{{topic}} {{group}}"),
            )
        )
        .with_panel(
            lines("Outbox, oldest", "s", promql("max by (schema) (vigia_outbox_oldest_seconds)", "{{schema}}"), span=8)
        )
        .with_panel(
            lines(
                "Records being handled",
                "short",
                promql("sum by (topic) (vigia_consumer_in_flight_records)", "{{topic}}"),
                span=8,
            )
        )
        .with_panel(
            lines(
                "Requests a second", "reqps", promql("sum by (service) (rate(vigia_http_requests_total[1m]))"), span=8
            )
        )
        .with_row(Row("What is lost"))
        .with_panel(
            lines(
                "Frames dropped or refused",
                "short",
                promql(
                    'sum by (camera, outcome) (increase(vigia_frames_total{outcome=~"dropped|refused"}[5m]))',
                    "{{camera}} {{outcome}}",
                ),
                what="In five minutes.",
                span=8,
            )
        )
        .with_panel(
            lines(
                "Not judged, by cause",
                "short",
                promql("sum by (cause) (increase(vigia_invalid_frames_total[5m]))", "{{cause}}"),
                what="In five minutes.",
                span=8,
            )
        )
        .with_panel(
            lines(
                "Dead letters",
                "short",
                promql("sum by (topic, code) (increase(vigia_dead_letters_total[5m]))", "{{topic}} {{code}}"),
                what="In five minutes.",
                span=8,
            )
        )
        .with_row(Row("Calls of Lookout for Vision"))
        .with_panel(
            lines(
                "Calls by outcome",
                "short",
                promql("sum by (outcome) (increase(vigia_lookout_requests_total[5m]))", "{{outcome}}"),
                what="In five minutes.",
                span=8,
            )
        )
        .with_panel(
            lines(
                "Images by DetectAnomalies",
                "short",
                promql(
                    "sum by (project, outcome) (increase(vigia_lookout_images_total[5m]))", "{{project}} {{outcome}}"
                ),
                what="In five minutes.",
                span=8,
            )
        )
        .with_panel(
            lines(
                "Inference units in service",
                "short",
                promql('vigia_lookout_inference_units{kind="in_service"}', "{{project}} {{model_version}}"),
                span=8,
            )
        )
        .with_row(Row("Calls of Custom Labels"))
        .with_panel(
            lines(
                "Calls by outcome",
                "short",
                promql("sum by (outcome) (increase(vigia_customlabels_requests_total[5m]))", "{{outcome}}"),
                what="In five minutes.",
                span=8,
            )
        )
        .with_panel(
            lines(
                "Images by DetectCustomLabels",
                "short",
                promql("sum by (outcome) (increase(vigia_label_images_total[5m]))", "{{outcome}}"),
                what="In five minutes: with labels, with none, or why there is no answer.",
                span=8,
            )
        )
        .with_panel(
            lines(
                "Inference units in service",
                "short",
                promql('vigia_customlabels_inference_units{kind="in_service"}', "{{project}} {{model_version}}"),
                span=8,
            )
        )
        .with_row(Row("Models"))
        .with_panel(
            lines(
                "Versions by state", "short", promql("sum by (observed) (vigia_hosting_models)", "{{observed}}"), span=8
            )
        )
        .with_panel(
            lines(
                "Inference queue",
                "s",
                promql(
                    "sum by (model) (rate(nv_inference_queue_duration_us[1m])) / 1e6 "
                    "/ (sum by (model) (rate(nv_inference_request_success[1m])) > 0)",
                    "{{model}}",
                ),
                what="Mean wait in Triton a request.",
                span=8,
            )
        )
        .with_panel(
            lines(
                "Inference units",
                "short",
                promql(
                    "sum by (service, project, version) (vigia_hosting_units_desired)",
                    "{{project}} {{version}} desired",
                ),
                promql(
                    "sum by (service, project, version) (vigia_hosting_units_in_service)",
                    "{{project}} {{version}} in service",
                    "B",
                ),
                what="More desired than in service: on the way up. Fewer: on the way down.",
                span=8,
            )
        )
        .with_panel(
            lines(
                "Units at work",
                "short",
                promql("sum by (service, project, version) (vigia_hosting_units_busy)", "{{project}} {{version}}"),
                what="In the mean of the last window of scaling.",
                span=8,
            )
        )
        .with_panel(
            lines(
                "Refused because too many came",
                "short",
                promql("sum by (operation) (increase(vigia_throttled_requests_total[5m]))", "{{operation}}"),
                promql(
                    'sum(increase(vigia_model_server_refusals_total{end="busy"}[5m]))', "images, by Triton's queue", "B"
                ),
                what="In five minutes.",
                span=8,
            )
        )
        .with_panel(
            lines(
                "Parts of the system that are down",
                "short",
                promql("sum by (job) (1 - up)", "{{job}}"),
                span=8,
            )
        )
    )


def lookout() -> Dashboard:
    """For whoever owns the projects: what the console of Lookout for Vision showed of them, over any range of time."""
    images = 'vigia_lookout_images_total{outcome="processed"}'
    anomalies = "vigia_lookout_anomalies_total"
    figures = (
        "sum(sum) filter (where metric = 'ProcessedImageCount') as \"Images processed\", "
        "sum(sum) filter (where metric = 'DetectedAnomalyCount') as \"Anomalies detected\", "
        "round((100 * sum(sum) filter (where metric = 'DetectedAnomalyCount') "
        "/ nullif(sum(sum) filter (where metric = 'ProcessedImageCount'), 0))::numeric, 2) "
        'as "Anomaly ratio (percent)" '
        "from inspection.samples where resolution = 'hour' "
        "and metric in ('ProcessedImageCount', 'DetectedAnomalyCount') and $__timeFilter(last_at)"
    )
    return (
        _dashboard("Lookout for Vision", "vigia-lookout", "Images and anomalies of DetectAnomalies, by project.")
        .refresh("1m")
        .time("now-7d", "now")
        .with_row(Row("Overview"))
        .with_panel(
            rows(
                "All projects",
                f'select count(distinct project) as "Projects", {figures}',
                what="By the hour, for 15 months. A project counts that was asked in the time range.",
                height=4,
            )
        )
        .with_row(Row("Projects"))
        .with_panel(
            rows(
                "By project",
                f'select project as "Project", {figures} group by project order by project',
                what="By the hour, for 15 months.",
            )
        )
        .with_panel(lines("Images an hour", "short", promql(f"sum by (project) (increase({images}[1h]))")))
        .with_panel(lines("Anomalies an hour", "short", promql(f"sum by (project) (increase({anomalies}[1h]))")))
    )


def texts() -> dict[str, str]:
    """Every dashboard as JSON, by its file name."""
    boards = {"line.json": line_overview(), "lookout.json": lookout(), "pipeline.json": pipeline()}
    return {name: JSONEncoder(sort_keys=True, indent=2).encode(board.build()) + "\n" for name, board in boards.items()}


def main() -> None:
    """Writes the files, or with ``--check`` says which are not current."""
    stale = [name for name, text in texts().items() if not (OUT / name).exists() or (OUT / name).read_text() != text]
    if "--check" in sys.argv:
        sys.exit(f"not current: {', '.join(stale)}; run: make dashboards" if stale else 0)
    OUT.mkdir(exist_ok=True)
    for name, text in texts().items():
        (OUT / name).write_text(text)


__all__ = ["POSTGRES", "PROMETHEUS", "line_overview", "lookout", "main", "pipeline", "texts"]

if __name__ == "__main__":
    main()
