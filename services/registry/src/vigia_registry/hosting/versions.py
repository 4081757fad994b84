"""What becomes of one model version, from what is desired and what every Triton reports. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from vigia_registry.hosting.domain import Desired, Hosting, Observed
from vigia_registry.hosting.replica_plan import Wanted


class Report(StrEnum):
    """A version as one Triton has it."""

    LOST = "lost"  # this Triton does not answer
    GONE = "gone"  # not there
    PENDING = "pending"  # there or on its way, not yet checked
    READY = "ready"  # there, with the wanted units, and its golden sample was answered right
    FAILED = "failed"  # given up on


@dataclass(frozen=True, slots=True)
class ReplicaReport:
    """``where`` names the Triton; ``reason`` says why it failed or what is being waited for.

    ``units`` are those that answer there, None while that is not known.
    """

    where: str
    report: Report
    reason: str = ""
    units: int | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """``drain``: how long a version answers after nobody is told of it any more, ``drain_limit`` should that never
    be known. ``start``: how long a start may take when no Triton settles it."""

    drain: timedelta
    drain_limit: timedelta
    start: timedelta


@dataclass(frozen=True, slots=True)
class Change:
    """The new observed state, to be written together with the announcements that follow from it."""

    observed: Observed
    reason: str | None = None
    in_service_units: int = 0


def wanted(hosting: Hosting, now: datetime, limits: Limits) -> Wanted | None:
    """Whether every Triton should hold this version now; None: no."""
    if hosting.desired is Desired.HOSTED:
        holds = hosting.observed in (Observed.LOADING, Observed.SERVING, Observed.DRAINING)
        return Wanted(hosting.units) if holds else None
    if hosting.observed is Observed.SERVING:
        return Wanted(hosting.units, load=False)
    if hosting.observed is Observed.DRAINING and not _drained(hosting, now, limits):
        return Wanted(hosting.units, load=False)
    return None


def settled(reports: Sequence[ReplicaReport]) -> bool:
    """Whether every Triton that answers has the version as it should be, and at least one does."""
    answering = [report for report in reports if report.report is not Report.LOST]
    return bool(answering) and all(report.report is Report.READY for report in answering)


def in_service(reports: Sequence[ReplicaReport]) -> int | None:
    """Units that answer, in the mean of all Tritons, rounded up; None while a Triton does not know."""
    units = [report.units for report in reports if report.units is not None]
    return math.ceil(sum(units) / len(units)) if units and len(units) == len(reports) else None


def advance(hosting: Hosting, reports: Sequence[ReplicaReport], now: datetime, limits: Limits) -> Change | None:
    """The change that is due, or None. Each change is one transaction; call again afterwards."""
    if hosting.desired is Desired.HOSTED:
        return _towards_serving(hosting, reports, now, limits)
    return _towards_absent(hosting, reports, now, limits)


def _towards_serving(
    hosting: Hosting, reports: Sequence[ReplicaReport], now: datetime, limits: Limits
) -> Change | None:
    if hosting.observed in (Observed.ABSENT, Observed.DRAINING):
        return Change(Observed.LOADING)
    if hosting.observed is Observed.FAILED:
        return None
    units = in_service(reports)
    if hosting.observed is Observed.SERVING:
        # A Triton that restarts or is repaired changes nothing for the stream: it gets its models back.
        if units is None or units == hosting.in_service_units:
            return None
        return Change(Observed.SERVING, _reasons(reports), units)
    failed = [report for report in reports if report.report is Report.FAILED]
    if failed:
        return Change(Observed.FAILED, reason=_reasons(failed))
    if settled(reports):
        return Change(Observed.SERVING, _reasons(reports), hosting.units if units is None else units)
    if now - hosting.since > limits.start:
        open_points = [f"{report.where}: {report.reason or report.report}" for report in reports]
        return Change(Observed.FAILED, reason="not ready in time: " + "; ".join(open_points))
    return None


def _towards_absent(hosting: Hosting, reports: Sequence[ReplicaReport], now: datetime, limits: Limits) -> Change | None:
    if hosting.observed is Observed.ABSENT:
        return None
    if hosting.observed is Observed.SERVING:
        return Change(Observed.DRAINING)
    if hosting.observed is Observed.DRAINING and not _drained(hosting, now, limits):
        return None
    # A Triton that does not answer holds no model that anybody could ask; should it still have one when it comes
    # back, that is unloaded as unknown.
    gone = all(report.report in (Report.GONE, Report.LOST, Report.FAILED) for report in reports)
    return Change(Observed.ABSENT) if gone else None


def _drained(hosting: Hosting, now: datetime, limits: Limits) -> bool:
    if hosting.told_at is not None and now - hosting.told_at >= limits.drain:
        return True
    return now - hosting.since >= limits.drain_limit


def _reasons(reports: Sequence[ReplicaReport]) -> str | None:
    return "; ".join(f"{report.where}: {report.reason}" for report in reports if report.reason) or None
