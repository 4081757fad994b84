"""Small builders: a panel is a title, a unit and a query; what is the same everywhere is said once."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.builders import dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders.common import StackingConfig, VizLegendOptions
from grafana_foundation_sdk.cog import variants
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement, StackingMode
from grafana_foundation_sdk.models.dashboard import (
    DashboardFieldConfigSourceOverrides,
    DataSourceRef,
    DynamicConfigValue,
    FieldColorModeId,
    MatcherConfig,
    Threshold,
    ThresholdsMode,
)

PROMETHEUS = DataSourceRef(type_val="prometheus", uid="vigia-prometheus")
POSTGRES = DataSourceRef(type_val="grafana-postgresql-datasource", uid="vigia-postgres")

#: One colour per verdict, on every panel; told apart by people with red-green blindness too.
VERDICT_COLORS = {"PASS": "#3274D9", "REJECT": "#E24D42", "REVIEW": "#EAB839", "INVALID": "#8F8F8F"}


class _Sql(variants.Dataquery):
    """A query of the Postgres data source, which the SDK has no builder for."""

    def __init__(self, sql: str) -> None:
        self.sql = sql

    def to_json(self) -> dict[str, Any]:
        return {
            "refId": "A",
            "datasource": {"type": POSTGRES.type_val, "uid": POSTGRES.uid},
            "editorMode": "code",
            "format": "table",
            "rawQuery": True,
            "rawSql": self.sql,
        }


class SqlQuery(Builder[variants.Dataquery]):
    """One SQL statement; ``$__timeFilter(column)`` stands for the dashboard's time range."""

    def __init__(self, sql: str) -> None:
        self._query = _Sql(sql)

    def build(self) -> variants.Dataquery:
        """The query."""
        return self._query


def promql(expression: str, legend: str = "__auto", ref: str = "A") -> prometheus.Dataquery:
    """One PromQL expression over the dashboard's time range."""
    return prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(ref).range()


def lines(title: str, unit: str, *queries: prometheus.Dataquery, what: str = "", span: int = 12) -> timeseries.Panel:
    """Lines over time."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(what)
        .unit(unit)
        .datasource(PROMETHEUS)
        .span(span)
        .height(8)
        .min(0)
        .fill_opacity(8)
        .legend(
            VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM).show_legend(True)
        )
    )
    for query in queries:
        panel = panel.with_target(query)
    return panel


def bands(title: str, unit: str, *queries: prometheus.Dataquery, what: str = "", span: int = 12) -> timeseries.Panel:
    """Stacked areas over time, verdicts in their colours."""
    panel = lines(title, unit, *queries, what=what, span=span).fill_opacity(60)
    panel = panel.stacking(StackingConfig().mode(StackingMode.NORMAL))
    return panel.overrides([_Override(name, color) for name, color in VERDICT_COLORS.items()])


class _Override(Builder[DashboardFieldConfigSourceOverrides]):
    def __init__(self, name: str, color: str) -> None:
        self._value = DashboardFieldConfigSourceOverrides(
            matcher=MatcherConfig(id_val="byName", options=name),
            properties=[DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": color})],
        )

    def build(self) -> DashboardFieldConfigSourceOverrides:
        """The override."""
        return self._value


def figure(
    title: str, unit: str, expression: str, *, what: str = "", bad_from: float | None = None, span: int = 4
) -> stat.Panel:
    """One number, red from ``bad_from`` on."""
    steps = [Threshold(value=None, color="blue")]
    if bad_from is not None:
        steps.append(Threshold(value=bad_from, color="red"))
    return (
        stat.Panel()
        .title(title)
        .description(what)
        .unit(unit)
        .datasource(PROMETHEUS)
        .span(span)
        .height(4)
        .with_target(promql(expression))
        .thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
        .color_scheme(dashboard.FieldColor().mode(FieldColorModeId.THRESHOLDS))
    )


def rows(title: str, sql: str, *, what: str = "", span: int = 24, height: int = 9) -> table.Panel:
    """Rows of a table in Postgres."""
    return (
        table.Panel()
        .title(title)
        .description(what)
        .datasource(POSTGRES)
        .span(span)
        .height(height)
        .with_target(SqlQuery(sql))
    )
