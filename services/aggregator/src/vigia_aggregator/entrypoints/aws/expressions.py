"""The queries of one GetMetricData that are expressions: what they need, and their series."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

from vigia_aggregator.domain.expressions import Expression, ExpressionError, Series, parse
from vigia_aggregator.entrypoints.aws.errors import AwsError
from vigia_aggregator.entrypoints.aws.requests import MetricDataQuery, Stat

#: Points that the expressions of one request may be made of, which is what a request may be answered with.
_POINTS: Final = 100_800
#: Expressions of expressions.
_DEEPEST: Final = 32
#: Gives the points of a metric, at most so many and one more.
Reader = Callable[[Stat, int], Awaitable[Series]]


class Expressions:
    """The expressions among ``queries``, checked: an AwsError names what is wrong with one."""

    def __init__(self, queries: Sequence[MetricDataQuery]) -> None:
        self._queries = {query.Id: query for query in queries}
        self._parsed = {query.Id: _parsed(query) for query in queries if query.Expression is not None}
        self._known: dict[str, Series] = {}
        self._room = _POINTS
        self._made_of: dict[str, tuple[int, frozenset[int]]] = {}
        for name in self._parsed:
            if len(self._check(name, ())[1]) > 1:
                raise _wrong(name, "the metrics that it is made of must have one Period")

    async def series(self, name: str, read: Reader) -> Series:
        """The series of query ``name``, which may be a metric that expressions are made of."""
        if name not in self._known:
            expression = self._parsed.get(name)
            self._known[name] = (
                await self._metric(name, read)
                if expression is None
                else _value(name, expression, {one: await self.series(one, read) for one in sorted(expression.names)})
            )
        return self._known[name]

    async def _metric(self, name: str, read: Reader) -> Series:
        stat = self._queries[name].MetricStat
        assert stat is not None
        found = await read(stat, self._room)
        self._room -= len(found)
        if self._room < 0:
            raise _wrong(
                name, f"expressions of one request may be made of {_POINTS} datapoints; ask for a longer Period"
            )
        return found

    def _check(self, name: str, above: tuple[str, ...]) -> tuple[int, frozenset[int]]:
        """How deep the expressions lie that a query is made of, and the periods of its metrics."""
        if name in self._made_of:
            return self._made_of[name]
        if name in above:
            raise _wrong(name, "it is made of itself")
        if len(above) > _DEEPEST:
            raise _wrong(name, f"it is made of expressions more than {_DEEPEST} deep")
        query, expression = self._queries.get(name), self._parsed.get(name)
        if query is None:
            raise _wrong(above[-1], f"there is no query {name[:50]}")
        if expression is None:
            periods = frozenset({query.MetricStat.Period} if query.MetricStat is not None else ())
            return 0, periods
        parts = [self._check(one, (*above, name)) for one in expression.names]
        depth = 1 + max((part[0] for part in parts), default=0)
        if depth > _DEEPEST:
            raise _wrong(name, f"it is made of expressions more than {_DEEPEST} deep")
        self._made_of[name] = (depth, frozenset().union(*(part[1] for part in parts)))
        return self._made_of[name]


def _parsed(query: MetricDataQuery) -> Expression:
    assert query.Expression is not None
    try:
        return parse(query.Expression)
    except ExpressionError as error:
        raise _wrong(query.Id, str(error)) from error


def _value(name: str, expression: Expression, given: Mapping[str, Series]) -> dict[datetime, float]:
    try:
        return expression.of(given)
    except ExpressionError as error:
        raise _wrong(name, str(error)) from error


def _wrong(name: str, what: str) -> AwsError:
    return AwsError("ValidationError", f"The expression of query {name[:50]} is not available: {what}.")
