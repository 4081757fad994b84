"""Metric math: what the guide's dashboard of running hours computes, and what is refused."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vigia_aggregator.domain.expressions import ExpressionError, parse
from vigia_aggregator.entrypoints.aws.errors import AwsError
from vigia_aggregator.entrypoints.aws.expressions import Expressions
from vigia_aggregator.entrypoints.aws.requests import MetricDataQuery

START = datetime(2026, 1, 1, tzinfo=UTC)


def series(*values: float | None) -> dict[datetime, float]:
    """A value an hour; None where there is none."""
    return {START + timedelta(hours=n): value for n, value in enumerate(values) if value is not None}


M1, M2 = series(1, 2, None, 4, 0), series(10, None, 30, 40, 50)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("m1", M1),
        ("SUM(m1)*m1", series(7, 14, None, 28, 0)),
        ("DATAPOINT_COUNT(m1)*m1/m1", series(4, 4, None, 4)),
        ("DATAPoint_COUNT( m1 ) * m1 / m1", series(4, 4, None, 4)),
        ("m1 + m2", series(11, None, None, 44, 50)),
        ("m2 - m1 - 1", series(8, None, None, 35, 49)),
        ("2 * (m1 + 1) / 4", series(1, 1.5, None, 2.5, 0.5)),
        ("-m1 + AVG(m1)", series(0.75, -0.25, None, -2.25, 1.75)),
        ("m1 * MAX(m2) - MIN(m2)", series(40, 90, None, 190, -10)),
        ("m1 * 1.5e1", series(15, 30, None, 60, 0)),
        ("m1 / 0", series()),
        ("m1 * SUM(nothing)", series()),
        ("m1 * AVG(nothing) + nothing", series()),
        ("m1 + DATAPOINT_COUNT(nothing)", M1),
    ],
)
def test_values(text: str, expected: dict[datetime, float]) -> None:
    found = parse(text).of({"m1": M1, "m2": M2, "nothing": {}})
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "ends too early"),
        ("m1 +", "ends too early"),
        ("SUM(m1", "ends too early"),
        ("m1 m2", "'m2' is not understood"),
        ("m1)", "')' is not understood"),
        ("m1 ^ 2", "'^ 2' is not understood"),
        ("SEARCH('{AWS/Rekognition}')", "SEARCH is not known"),
        ("METRICS()", "METRICS is not known"),
        ("SELECT AVG(x)", "is not understood"),
        ("SUM(m1)", "single number"),
        ("1 + 1", "single number"),
        ("m1 * SUM(2)", "SUM takes a series"),
        ("(" * 100 + "m1" + ")" * 100, "deep"),
        ("-" * 2000 + "m1", "deep"),
        ("m1" + "+m1" * 1000, "2048 characters"),
    ],
)
def test_what_is_no_expression_is_named(text: str, says: str) -> None:
    with pytest.raises(ExpressionError, match=re.escape(says)):
        parse(text).of({"m1": M1})


@settings(max_examples=500)
@given(st.text(alphabet="m12+-*/(). SUMAVG,e", max_size=60) | st.text(max_size=40))
def test_any_text_is_an_expression_or_is_refused(text: str) -> None:
    try:
        expression = parse(text)
        found = expression.of(dict.fromkeys(expression.names, M1))
    except ExpressionError:
        return
    assert set(found) <= set(M1)
    assert all(map(math.isfinite, found.values()))


def queries(*expressions: tuple[str, str], periods: dict[str, int] | None = None) -> list[MetricDataQuery]:
    metric = {"Namespace": "n", "MetricName": "m"}
    stats = (periods or {"m1": 3600}).items()
    made: list[dict[str, Any]] = [
        {"Id": name, "MetricStat": {"Metric": metric, "Period": period, "Stat": "Sum"}} for name, period in stats
    ]
    made += [{"Id": name, "Expression": text} for name, text in expressions]
    return [MetricDataQuery.model_validate(one) for one in made]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (queries(("e1", "m2 * 2")), "there is no query m2"),
        (queries(("e1", "e1 * 2")), "made of itself"),
        (queries(("e1", "e2 * 2"), ("e2", "e1 * 2")), "made of itself"),
        (queries(("e1", "m1 * m2"), periods={"m1": 3600, "m2": 300}), "one Period"),
        (queries(("e0", "m1"), *((f"e{n}", f"e{n - 1} + 1") for n in range(1, 400))), "deep"),
        (queries(*((f"e{n}", f"e{n + 1} + 1") for n in range(400)), ("e400", "m1")), "deep"),
    ],
)
def test_queries_that_do_not_fit_together_are_named(given: list[MetricDataQuery], says: str) -> None:
    with pytest.raises(AwsError) as caught:
        Expressions(given)
    assert says in caught.value.message


def test_expressions_of_expressions_cost_their_number() -> None:
    """Each is looked at once, though the ways from the last to the first are more than can be counted."""
    chain = [(f"e{n}", f"e{n - 1} + e{n - 2}") for n in range(2, 32)]
    Expressions(queries(("e0", "m1"), ("e1", "m1"), *chain))
