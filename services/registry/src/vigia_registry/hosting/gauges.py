"""Hosting as Prometheus sees it: one set of numbers for every version that is hosted, and none for others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from vigia_registry.hosting.autoscaler import Autoscaler
from vigia_registry.hosting.domain import Desired, Observed
from vigia_registry.hosting.repository import Target
from vigia_runtime import metrics

_GAUGES = (
    metrics.UNITS_DESIRED,
    metrics.UNITS_IN_SERVICE,
    metrics.UNITS_BUSY,
    metrics.HOSTING_QUEUE_SECONDS,
)


class Gauges:
    """Remembers which versions are shown, so that one that is gone leaves no number behind."""

    def __init__(self) -> None:
        self._shown: set[tuple[str, str, str, str]] = set()

    def show(self, targets: Sequence[Target], autoscaler: Autoscaler) -> None:
        """The numbers as they are now."""
        seen = Counter(target.hosting.observed for target in targets)
        for observed in Observed:
            metrics.HOSTED_MODELS.labels(observed.value).set(seen[observed])
        shown = set()
        for target in targets:
            hosting, labels = target.hosting, _labels(target)
            if hosting.desired is not Desired.HOSTED:
                continue
            shown.add(labels)
            metrics.UNITS_DESIRED.labels(*labels).set(hosting.units)
            metrics.UNITS_IN_SERVICE.labels(*labels).set(hosting.in_service_units)
            window = autoscaler.last(hosting.id)
            if window is not None:
                metrics.HOSTING_QUEUE_SECONDS.labels(*labels).set(window.queue_seconds)
                metrics.UNITS_BUSY.labels(*labels).set(window.busy_units)
        for labels in self._shown - shown:
            for gauge in _GAUGES:
                gauge.remove(*labels)
        self._shown = shown

    def scaled(self, target: Target, units: int) -> None:
        """Count a change of units."""
        direction = "out" if units > target.hosting.units else "in"
        metrics.SCALINGS.labels(*_labels(target), direction).inc()


def _labels(target: Target) -> tuple[str, str, str, str]:
    return target.account_id, target.service.value, target.project, target.version
