"""What is done in one Triton: never more than needed, and always enough to get there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigia_registry.hosting.replica import pause_after
from vigia_registry.hosting.replica_plan import Do, Found, Health, Step, Wanted, plan

GOOD = Found(1, Health.GOOD)


@pytest.mark.parametrize(
    ("wanted", "found", "waiting", "steps"),
    [
        ({"a": Wanted(1)}, {}, (), [Step(Do.LOAD, "a")]),
        ({"a": Wanted(1)}, {}, ("a",), []),
        ({"a": Wanted(1)}, {"a": GOOD}, (), []),
        ({"a": Wanted(1)}, {"a": Found(1)}, (), [Step(Do.CHECK, "a")]),
        ({"a": Wanted(1)}, {"a": Found(1, Health.DUE)}, (), [Step(Do.CHECK, "a")]),
        ({"a": Wanted(2)}, {"a": GOOD}, (), [Step(Do.RESIZE, "a")]),
        ({"a": Wanted(1)}, {"a": Found(1, Health.BAD)}, (), [Step(Do.REPAIR, "a")]),
        ({"a": Wanted(1)}, {"a": Found(1, Health.BAD)}, ("a",), []),
        ({}, {"a": GOOD}, (), [Step(Do.UNLOAD, "a")]),
        ({}, {"a": Found(1, Health.BAD)}, (), [Step(Do.UNLOAD, "a")]),
        # A version that drains is neither brought back nor repaired nor resized.
        ({"a": Wanted(2, load=False)}, {}, (), []),
        ({"a": Wanted(2, load=False)}, {"a": GOOD}, (), []),
        ({"a": Wanted(2, load=False)}, {"a": Found(1, Health.BAD)}, (), []),
        # What serves is looked after first, then room is made, then something new comes.
        (
            {"a": Wanted(1), "b": Wanted(1)},
            {"b": Found(1, Health.BAD), "c": GOOD},
            (),
            [Step(Do.REPAIR, "b"), Step(Do.UNLOAD, "c"), Step(Do.LOAD, "a")],
        ),
    ],
)
def test_steps(wanted: dict[str, Wanted], found: dict[str, Found], waiting: tuple[str, ...], steps: list[Step]) -> None:
    assert plan(wanted, found, frozenset(waiting)) == steps


names = st.sampled_from("abcde")
units = st.integers(1, 3)


@given(
    wanted=st.dictionaries(names, st.builds(Wanted, units, st.booleans())),
    found=st.dictionaries(names, st.builds(Found, units, st.sampled_from(Health))),
)
def test_carrying_out_plans_leads_to_what_is_wanted_and_then_rests(
    wanted: dict[str, Wanted], found: dict[str, Found]
) -> None:
    held = dict(found)
    for _ in range(4):
        for step in plan(wanted, held):
            match step.do:
                case Do.UNLOAD:
                    assert step.name not in wanted
                    del held[step.name]
                case Do.CHECK:
                    held[step.name] = Found(held[step.name].units, Health.GOOD)
                case _:
                    assert wanted[step.name].load
                    held[step.name] = Found(wanted[step.name].units, Health.GOOD)
    assert plan(wanted, held) == []
    assert {name for name, wish in wanted.items() if wish.load} <= held.keys() <= wanted.keys()
    assert all(held[name] == Found(wish.units, Health.GOOD) for name, wish in wanted.items() if wish.load)


def test_attempts_in_vain_never_stop_and_never_hurry() -> None:
    assert [pause_after(failed) for failed in (1, 2, 3)] == [1, 2, 4]
    assert {pause_after(failed) for failed in (6, 100, 5000, 10**6)} == {30}
