"""How many units a version gets: within its bounds, one at a time, on evidence, and never to and fro."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from vigia_contracts.base import ObjectRef
from vigia_registry.hosting.autoscaler import Autoscaler
from vigia_registry.hosting.domain import Desired, Hosting, Observed
from vigia_registry.hosting.gauges import Gauges
from vigia_registry.hosting.repository import Target
from vigia_registry.hosting.scaling import Reading, Tally, Window, decide, window
from vigia_registry.hosting.settings import ScalingSettings
from vigia_registry.hosting.versions import ReplicaReport, Report
from vigia_registry.identity.domain import Service

SETTINGS = ScalingSettings(window_seconds=1, queue_seconds=0.05, out_windows=2, in_windows=3, utilization=0.6)
WAITS, FULL = Window(0.2, 1.0), Window(0.0, 0.0, refused=True)
#: Nobody waits, and so many units are at work.
IDLE, STEADY = Window(0.0, 0.1), Window(0.02, 1.9)
#: Hardly anything happens, and that slowly: the machine is busy with something else.
SLOW = Window(0.2, 0.05)

windows = st.lists(
    st.builds(Window, st.floats(0, 10), st.floats(0, 12), st.booleans()) | st.sampled_from([WAITS, FULL, IDLE, STEADY]),
    max_size=8,
)


@pytest.mark.parametrize(
    ("units", "most", "seen", "expected"),
    [
        (1, 3, [], 1),
        (1, 3, [WAITS], 1),
        (1, 3, [IDLE, WAITS, WAITS], 2),
        (1, 3, [WAITS, FULL], 2),
        (1, 3, [WAITS, IDLE], 1),
        (3, 3, [WAITS, WAITS], 3),
        (2, 3, [IDLE, IDLE, IDLE], 1),
        (2, 3, [IDLE, IDLE], 2),
        (2, 3, [IDLE, IDLE, FULL], 2),
        (1, 3, [SLOW, SLOW], 1),
        (2, 3, [SLOW, IDLE, SLOW], 1),
        # Nobody waits, but one unit alone could not do it.
        (2, 3, [STEADY, STEADY, STEADY], 2),
        (1, 3, [IDLE, IDLE, IDLE], 1),
        # Without a maximum the number is fixed, whatever was decided before.
        (1, None, [WAITS, WAITS], 1),
        (2, None, [WAITS, WAITS], 1),
        (5, 3, [], 3),
    ],
)
def test_decisions(units: int, most: int | None, seen: list[Window], expected: int) -> None:
    assert decide(units, 1, most, seen, SETTINGS) == expected


@given(units=st.integers(0, 20), least=st.integers(1, 10), more=st.none() | st.integers(0, 10), seen=windows)
def test_units_stay_within_bounds_and_move_one_at_a_time(
    units: int, least: int, more: int | None, seen: list[Window]
) -> None:
    most = None if more is None else least + more
    found = decide(units, least, most, seen, SETTINGS)
    assert least <= found <= (least if most is None else most)
    assert abs(found - max(least, min(units, least if most is None else most))) <= 1
    # It is where it should be, and stays there while nothing is known.
    assert decide(found, least, most, [], SETTINGS) == found
    if found > units >= least:
        assert all(one.refused or one.queue_seconds > SETTINGS.queue_seconds for one in seen[-2:])
    if found < units <= (least if most is None else most):
        assert not any(one.refused or one.busy_units > SETTINGS.utilization * found for one in seen[-3:])


@given(
    demand=st.floats(0, 12),
    waits_from=st.floats(0.61, 1.0),
    least=st.integers(1, 3),
    most=st.integers(3, 10),
    start=st.integers(1, 10),
)
def test_units_come_to_rest_where_they_suffice(
    demand: float, waits_from: float, least: int, most: int, start: int
) -> None:
    """Constant demand (units of work at a time), where requests wait as soon as units are busy for ``waits_from``."""
    units, seen, changed_at = start, [], 0
    for step in range(200):
        busy = min(demand, units)
        seen.append(Window(1.0 if demand >= waits_from * units else 0.0, busy))
        found = decide(units, least, most, seen, SETTINGS)
        if found != units:
            units, seen, changed_at = found, [], step
    assert changed_at < 100
    assert demand < waits_from * units or units == most
    assert demand > SETTINGS.utilization * (units - 1) or units == least


def reading(at: float, answered: int, waited: float, busy: float, *, load: int = 1, refused: int = 0) -> Reading:
    return Reading(load, at, Tally(answered, 0, waited, busy), refused)


def test_a_window_is_the_mean_over_tritons_that_can_be_compared() -> None:
    before = {
        "a": reading(0, 100, 5, 50),
        "b": reading(0, 10, 0, 1),
        "restarted": reading(0, 900, 9, 9),
        "reloaded": reading(0, 1, 0, 0, load=1),
    }
    after = {
        "a": reading(10, 200, 9, 65),
        "b": reading(10, 110, 0, 6),
        "restarted": reading(10, 3, 0, 0),
        "reloaded": reading(10, 500, 50, 50, load=2),
        "new": reading(10, 500, 50, 50),
    }
    assert window(before, after) == Window(queue_seconds=4 / 200, busy_units=20 / 20)
    assert window(before, {**after, "b": reading(10, 110, 0, 6, refused=1)}) == Window(4 / 200, 1.0, refused=True)
    assert window({}, after) is None
    assert window(before, before) is None
    # Without an answer nobody is known to have waited.
    assert window({"a": reading(0, 5, 1, 1)}, {"a": reading(1, 5, 1, 1)}) == Window(0.0, 0.0)


def hosted(units: int, in_service: int) -> Hosting:
    return Hosting(
        id=UUID(int=1),
        arn="arn",
        triton_model="m",
        desired=Desired.HOSTED,
        observed=Observed.SERVING,
        units=units,
        in_service_units=in_service,
        generation=1,
        since=datetime(2026, 1, 1, tzinfo=UTC),
        min_units=1,
        max_units=4,
    )


class Clock:
    """Calls the autoscaler every half second of a made-up time with a Triton whose requests wait ``wait`` seconds."""

    def __init__(self) -> None:
        self.scaler = Autoscaler(SETTINGS)
        self.at = 0.0
        self.answered = 0
        self.waited = 0.0
        self.busy = 0.0

    def run(self, units: int, in_service: int, *, seconds: float, wait: float, report: Report = Report.READY) -> int:
        """The units that are asked for first within ``seconds``, or those that there are."""
        for _ in range(int(2 * seconds)):
            self.at += 0.5
            self.answered += 10
            self.waited += 10 * wait
            self.busy += 0.5 * units if wait else 0.0
            found = self.scaler.review(
                hosted(units, in_service),
                [ReplicaReport("t", report, units=in_service)],
                {"t": reading(self.at, self.answered, self.waited, self.busy)},
                self.at,
            )
            if found != units:
                return found
        return units


def test_every_change_waits_for_evidence_of_its_own() -> None:
    clock = Clock()
    assert clock.run(1, 1, seconds=2, wait=1.0) == 1
    assert clock.run(1, 1, seconds=1, wait=1.0) == 2
    # On their way: what is seen meanwhile does not count.
    assert clock.run(2, 1, seconds=30, wait=1.0, report=Report.PENDING) == 2
    assert clock.run(2, 2, seconds=2, wait=1.0) == 2
    assert clock.run(2, 2, seconds=1, wait=1.0) == 3
    assert clock.run(3, 3, seconds=3, wait=0.0) == 3
    assert clock.run(3, 3, seconds=1, wait=0.0) == 2


def test_units_that_cannot_be_had_are_given_up() -> None:
    clock = Clock()
    assert clock.run(4, 2, seconds=1, wait=1.0, report=Report.FAILED) == 2


def test_prometheus_tells_the_services_apart_and_forgets_what_is_no_longer_hosted() -> None:
    def target(number: int, service: Service, units: int) -> Target:
        hosting = replace(hosted(units, units), id=UUID(int=number))
        artifact = ObjectRef(bucket="b", key="manifest.json")
        return Target(hosting, "123456789012", service, "gauged", "1", UUID(int=9), artifact, {}, 1)

    def desired(service: str) -> float | None:
        labels = {"account": "123456789012", "service": service, "project": "gauged", "version": "1"}
        return REGISTRY.get_sample_value("vigia_hosting_units_desired", labels)

    gauges, autoscaler = Gauges(), Autoscaler(SETTINGS)
    # Both services may have a project, and a version, of one name.
    lookout, labels = target(1, Service.LOOKOUT, 2), target(2, Service.CUSTOM_LABELS, 3)
    gauges.show([lookout, labels], autoscaler)
    assert (desired("lookoutvision"), desired("rekognition")) == (2, 3)
    gauges.show([lookout], autoscaler)
    assert (desired("lookoutvision"), desired("rekognition")) == (2, None)
    gauges.scaled(labels, 4)
    moved = {"account": "123456789012", "project": "gauged", "version": "1", "direction": "out"}
    assert REGISTRY.get_sample_value("vigia_hosting_scalings_total", {**moved, "service": "rekognition"}) == 1
    assert REGISTRY.get_sample_value("vigia_hosting_scalings_total", {**moved, "service": "lookoutvision"}) is None
    gauges.show([], autoscaler)
    assert desired("lookoutvision") is None
