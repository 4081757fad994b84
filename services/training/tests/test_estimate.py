"""What does not fit is refused before it begins, with what would fit; what a machine has is read with its limits."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from vigia_training.adapters import machine as machines
from vigia_training.domain.estimate import MB, Machine, Speed, TooMuch, Work, check, estimate

SPEED = Speed(load=0.02, network=0.3, threads=2)
LARGE = Machine(memory=1e12, disk=1e12)
BOXES = Work(
    kind="object-detection",
    learn=16_000,
    test=4_000,
    kept=16_000,
    masked=0,
    labels=6,
    pool=0,
    steps=1500,
    batch=0.52,
    image=4.0,
    tensor=0.41,
    features=0.0,
    weights=18e6,
)
PARTS = replace(
    BOXES, kind="anomaly", kept=1500, masked=750, labels=4, pool=3000, steps=400, tensor=0.0655, features=5.5e6
)
CARDS = replace(BOXES, kind="classification", pool=24_000, steps=600, tensor=0.05, features=0.9e6)


@pytest.mark.parametrize("work", [BOXES, PARTS, CARDS])
def test_what_fits_is_let_through_and_more_of_anything_takes_more(work: Work) -> None:
    found = check(work, SPEED, LARGE, 1e9)
    assert set(found.stages) <= {"reading", "features", "training", "exporting", "evaluating"}
    assert found.artifact > work.weights
    for more in (replace(work, learn=2 * work.learn), replace(work, steps=2 * work.steps), replace(work, test=8_000)):
        assert estimate(more, SPEED).seconds > found.seconds
    assert estimate(replace(work, tensor=2 * work.tensor), SPEED).memory > found.memory


@pytest.mark.parametrize("work", [BOXES, PARTS, CARDS])
def test_too_much_memory_is_refused_with_a_number_of_images_that_fits(work: Work) -> None:
    memory = estimate(work, SPEED).memory * 0.6
    with pytest.raises(TooMuch, match=r"it needs about [\d.]+ [MG]B of memory and [\d.]+ [MG]B are free; ") as caught:
        check(work, SPEED, replace(LARGE, memory=memory), 1e9)
    if work.kind == "anomaly":
        found = re.search(r"set VIGIA_TRAINING_LEARNING__EXAMPLES to at most (\d+)", str(caught.value))
        assert found is not None
        kept = int(found[1])
        fits = replace(work, kept=kept, masked=round(work.masked * kept / work.kept), pool=2 * kept)
    else:
        found = re.search(r"give at most (\d+) training images", str(caught.value))
        assert found is not None
        kept = int(found[1])
        fits = replace(work, learn=kept, kept=kept, pool=round(work.pool * kept / work.kept))
    assert 0.9 * memory < estimate(fits, SPEED).memory <= memory * 1.001


def test_too_long_is_refused_with_the_number_of_iterations_that_fits() -> None:
    work = replace(BOXES, learn=100, test=20, kept=100, steps=3000)
    with pytest.raises(TooMuch, match=r"about \d+ min; VIGIA_TRAINING_LEARNING__HOURS allows 20 min") as caught:
        check(work, SPEED, LARGE, 1200)
    found = re.search(r"DETECTION_ITERATIONS to at most (\d+)", str(caught.value))
    assert found is not None
    assert 1190 < estimate(replace(work, steps=int(found[1])), SPEED).seconds <= 1200


def test_what_nothing_would_make_fit_is_refused_without_advice() -> None:
    with pytest.raises(TooMuch, match=r"on disk and 1 MB are free$"):
        check(PARTS, SPEED, replace(LARGE, disk=1 * MB), 1e9)


def put(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.fixture
def container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of 8 GB without limits; what is written below the folder are its control groups."""
    put(tmp_path / "meminfo", "MemTotal: 9000000 kB\nMemAvailable: 8000000 kB\n")
    put(tmp_path / "own", "4:memory:/a/b\n1:cpu,cpuacct:/\n0::/c\n")
    monkeypatch.setattr(machines, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(machines, "OWN_CGROUP", tmp_path / "own")
    monkeypatch.setattr(machines, "CGROUPS", tmp_path / "fs")
    monkeypatch.setattr(machines.os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    return tmp_path / "fs"


def test_without_limits_all_is_free(container: Path) -> None:
    assert machines.free_memory() == 8_000_000 * 1024
    assert machines.cores() == 4
    assert machines.machine(container / "not" / "there").disk > 0


def test_limits_of_both_versions_of_control_groups_count(container: Path) -> None:
    put(container / "memory.max", "3000000000\n")
    put(container / "memory.stat", "anon 400000000\nfile 9000000000\nshmem 100000000\nslab_unreclaimable 0\n")
    put(container / "cpu.max", "150000 100000\n")
    assert machines.free_memory() == 2_500_000_000
    assert machines.cores() == 2
    put(container / "memory" / "a" / "b" / "memory.limit_in_bytes", "1000000000\n")
    put(container / "memory" / "a" / "b" / "memory.stat", "total_rss 300000000\ntotal_cache 600000000\n")
    put(container / "cpu" / "cpu.cfs_quota_us", "50000\n")
    put(container / "cpu" / "cpu.cfs_period_us", "100000\n")
    assert machines.free_memory() == 700_000_000
    assert machines.cores() == 1


def test_no_limit_is_none(container: Path) -> None:
    put(container / "memory.max", "max\n")
    put(container / "cpu.max", "max 100000\n")
    put(container / "memory" / "memory.limit_in_bytes", "9223372036854771712\n")
    put(container / "cpu" / "cpu.cfs_quota_us", "-1\n")
    assert machines.free_memory() == 8_000_000 * 1024
    assert machines.cores() == 4
