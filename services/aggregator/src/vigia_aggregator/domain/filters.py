"""What a listing may be narrowed by."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from vigia_contracts.audit import CallOutcome
from vigia_contracts.faults import FaultKind
from vigia_contracts.inspections import Origin, Verdict


@dataclass(frozen=True, slots=True)
class InspectionFilter:
    """Every given field must match; ``since`` is inclusive, ``until`` exclusive, both of the time of capture."""

    account_id: str
    line: str | None = None
    camera: str | None = None
    product: str | None = None
    project: str | None = None
    model_version: str | None = None
    verdict: Verdict | None = None
    origin: Origin | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class FaultFilter:
    """As :class:`InspectionFilter`, by when a fault began. ``is_open``: only those that last, or only ended ones."""

    account_id: str
    line: str | None = None
    camera: str | None = None
    kind: FaultKind | None = None
    is_open: bool | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class CallFilter:
    """As :class:`InspectionFilter`, by when a call came. ``resource`` and ``resource_type``: what it names."""

    account_id: str
    region: str | None = None
    event_id: UUID | None = None
    source: str | None = None
    name: str | None = None
    username: str | None = None
    access_key_id: str | None = None
    read_only: bool | None = None
    outcome: CallOutcome | None = None
    project: str | None = None
    model_version: str | None = None
    resource: str | None = None
    resource_type: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class TrendFilter:
    """Which inspections a trend counts. Shadow models decide nothing and are never counted."""

    account_id: str
    line: str | None = None
    camera: str | None = None
    product: str | None = None
    project: str | None = None
    model_version: str | None = None
