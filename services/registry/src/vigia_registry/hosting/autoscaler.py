"""Keeps looking at how busy every serving version is, and says how many units each should have."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from vigia_registry.hosting.domain import Hosting
from vigia_registry.hosting.scaling import Reading, Window, decide, window, within
from vigia_registry.hosting.settings import ScalingSettings
from vigia_registry.hosting.versions import ReplicaReport, Report, settled


@dataclass(slots=True)
class _Watch:
    """What is known of one version since its units last changed: ``first`` readings of the window under way."""

    began: float
    first: Mapping[str, Reading]
    windows: deque[Window]


@dataclass(slots=True)
class Autoscaler:
    """Remembers; ``scaling`` decides. Nothing is kept over a restart but the units themselves."""

    settings: ScalingSettings
    _watches: dict[UUID, _Watch] = field(default_factory=dict)

    def review(
        self, hosting: Hosting, reports: Sequence[ReplicaReport], readings: Mapping[str, Reading], now: float
    ) -> int:
        """The units that a serving version should have, from its Tritons' reports and readings (by address).

        ``now`` is monotonic. To be called often; a change of units is to be written before the next call.
        """
        if not settled(reports):
            self._watches.pop(hosting.id, None)
            if any(report.report is Report.FAILED for report in reports):
                # It cannot be had. What there is stays, until there is new evidence that it does not suffice.
                return within(hosting.in_service_units, hosting.min_units, hosting.max_units)
            return hosting.units
        watch = self._watches.get(hosting.id)
        if watch is None:
            self._watches[hosting.id] = _Watch(now, readings, deque(maxlen=self._kept))
            return hosting.units
        if now - watch.began < self.settings.window_seconds:
            return hosting.units
        found = window(watch.first, readings)
        watch.began, watch.first = now, readings
        if found is None:
            return hosting.units
        watch.windows.append(found)
        units = decide(hosting.units, hosting.min_units, hosting.max_units, tuple(watch.windows), self.settings)
        if units != hosting.units:
            del self._watches[hosting.id]
        return units

    def last(self, version: UUID) -> Window | None:
        """The last window of a version, if one is over."""
        watch = self._watches.get(version)
        return watch.windows[-1] if watch is not None and watch.windows else None

    def keep(self, versions: Collection[UUID]) -> None:
        """Forget all others."""
        for version in self._watches.keys() - versions:
            del self._watches[version]

    @property
    def _kept(self) -> int:
        return max(self.settings.out_windows, self.settings.in_windows)
