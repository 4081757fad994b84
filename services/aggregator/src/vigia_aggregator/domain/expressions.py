"""Metric math: arithmetic over the series of a request, and what sums a series up.

A series has a value at some moments. Two of them meet at the moments that both have; a number meets a series at all of
its moments. What has no value (a division by zero, the mean of nothing) is left out of a series.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

Series = Mapping[datetime, float]
Value = Series | float

LONGEST: Final = 2048
_DEEPEST: Final = 32
_TOKEN: Final = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z]\w*)|(?P<mark>[-+*/()]))", re.ASCII
)
_FUNCTIONS: Final[Mapping[str, Callable[[list[float]], float]]] = {
    "SUM": lambda values: sum(values) if values else math.nan,
    "AVG": lambda values: sum(values) / len(values) if values else math.nan,
    "MIN": lambda values: min(values, default=math.nan),
    "MAX": lambda values: max(values, default=math.nan),
    "DATAPOINT_COUNT": lambda values: float(len(values)),
}
_OPERATORS: Final[Mapping[str, Callable[[float, float], float]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": lambda left, right: left / right if right else math.nan,
}
KNOWN: Final = f"there are + - * / ( ) and {', '.join(_FUNCTIONS)}"

_Node = Callable[[Mapping[str, Series]], Value]


class ExpressionError(ValueError):
    """The expression is none, or is more than is known here."""


@dataclass(frozen=True, slots=True)
class Expression:
    """``names``: of the series that it needs."""

    names: frozenset[str]
    _root: _Node

    def of(self, series: Mapping[str, Series]) -> dict[datetime, float]:
        """Its value at every moment that has one; ExpressionError where it is a single number."""
        found = self._root(series)
        if not isinstance(found, Mapping):
            raise ExpressionError("it gives a single number, not a series")
        return {moment: value for moment, value in found.items() if math.isfinite(value)}


def parse(text: str) -> Expression:
    """The expression that ``text`` writes; ExpressionError."""
    if len(text) > LONGEST:
        raise ExpressionError(f"it has more than {LONGEST} characters")
    parser = _Parser(text)
    root = parser.sum(0)
    parser.end()
    return Expression(frozenset(parser.names), root)


class _Parser:
    """One pass over the tokens, by descent: a sum of products of factors."""

    def __init__(self, text: str) -> None:
        self.names: set[str] = set()
        self._text = text.rstrip()
        self._at = 0

    def sum(self, depth: int) -> _Node:
        node = self._product(depth)
        while (mark := self._mark("+-")) is not None:
            node = _both(_OPERATORS[mark], node, self._product(depth))
        return node

    def end(self) -> None:
        if self._at < len(self._text):
            raise self._error()

    def _product(self, depth: int) -> _Node:
        node = self._factor(depth)
        while (mark := self._mark("*/")) is not None:
            node = _both(_OPERATORS[mark], node, self._factor(depth))
        return node

    def _factor(self, depth: int) -> _Node:
        if depth > _DEEPEST:
            raise ExpressionError(f"it is nested more than {_DEEPEST} deep")
        if self._mark("-") is not None:
            return _both(operator.mul, _number(-1.0), self._factor(depth + 1))
        if self._mark("(") is not None:
            return self._closed(depth)
        found = _TOKEN.match(self._text, self._at)
        if found is None or found["mark"] is not None:
            raise self._error()
        self._at = found.end()
        if found["number"] is not None:
            return _number(float(found["number"]))
        name = found["name"]
        if self._mark("(") is None:
            self.names.add(name)
            return lambda series: series[name]
        function = _FUNCTIONS.get(name.upper())
        if function is None:
            raise ExpressionError(f"{name[:50]} is not known; {KNOWN}")
        return _summed(name, function, self._closed(depth))

    def _closed(self, depth: int) -> _Node:
        node = self.sum(depth + 1)
        if self._mark(")") is None:
            raise self._error()
        return node

    def _mark(self, marks: str) -> str | None:
        """The next token, taken, where it is one of ``marks``."""
        found = _TOKEN.match(self._text, self._at)
        if found is None or found["mark"] is None or found["mark"] not in marks:
            return None
        self._at = found.end()
        return found["mark"]

    def _error(self) -> ExpressionError:
        rest = self._text[self._at :].strip()
        what = f"{rest[:50]!r} is not understood" if rest else "it ends too early"
        return ExpressionError(f"{what}; {KNOWN}")


def _number(value: float) -> _Node:
    return lambda series: value


def _summed(name: str, function: Callable[[list[float]], float], inner: _Node) -> _Node:
    def node(series: Mapping[str, Series]) -> Value:
        found = inner(series)
        if not isinstance(found, Mapping):
            raise ExpressionError(f"{name} takes a series, not a number")
        return function([value for value in found.values() if math.isfinite(value)])

    return node


def _both(join: Callable[[float, float], float], first: _Node, second: _Node) -> _Node:
    def node(series: Mapping[str, Series]) -> Value:
        left, right = first(series), second(series)
        if isinstance(left, Mapping):
            if isinstance(right, Mapping):
                return {moment: join(value, right[moment]) for moment, value in left.items() if moment in right}
            return {moment: join(value, right) for moment, value in left.items()}
        if isinstance(right, Mapping):
            return {moment: join(left, value) for moment, value in right.items()}
        return join(left, right)

    return node
