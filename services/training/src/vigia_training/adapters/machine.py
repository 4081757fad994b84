"""What this process may use: processors, memory and disk, the limits of its container included."""

from __future__ import annotations

import math
import os
import shutil
import sys
from pathlib import Path

from vigia_training.domain.estimate import Machine

CGROUPS = Path("/sys/fs/cgroup")
MEMINFO = Path("/proc/meminfo")
OWN_CGROUP = Path("/proc/self/cgroup")


def cores() -> int:
    """Processors that this process may use, at least 1: those it may run on, and the container's share of time."""
    usable = len(os.sched_getaffinity(0))
    return max(1, min(usable, *(math.ceil(share) for share in _cpu_shares()))) if _cpu_shares() else usable


def machine(folder: Path) -> Machine:
    """What is free now, on the disk of ``folder`` or of the first folder above it that exists."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return Machine(free_memory(), float(shutil.disk_usage(folder).free))


def free_memory() -> float:
    """Bytes that this process may still take: the machine's, or what is left below a limit of its container."""
    lines = MEMINFO.read_text().splitlines() if MEMINFO.exists() else []
    known = dict(line.split(":", 1) for line in lines)
    left = [float(known["MemAvailable"].split()[0]) * 1024] if "MemAvailable" in known else []
    for folder in _folders("memory"):
        limit = _number(folder / "memory.max") or _number(folder / "memory.limit_in_bytes")
        if limit is not None and limit < 1 << 60:
            left.append(max(0.0, limit - _held(folder)))
    return min(left, default=float(sys.maxsize))


def _held(folder: Path) -> float:
    """Bytes of a control group that cannot be dropped, as cached files can."""
    stat = folder / "memory.stat"
    values = dict(line.split() for line in stat.read_text().splitlines()) if stat.exists() else {}
    names = ("total_rss", "total_shmem") if "total_rss" in values else ("anon", "shmem", "slab_unreclaimable")
    return float(sum(int(values.get(name, 0)) for name in names))


def _cpu_shares() -> list[float]:
    shares = []
    for folder in _folders("cpu"):
        words = _words(folder / "cpu.max")
        if len(words) == 2 and words[0] != "max":
            shares.append(int(words[0]) / int(words[1]))
        quota, period = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
        if quota is not None and period is not None and quota > 0:
            shares.append(quota / period)
    return shares


def _folders(controller: str) -> list[Path]:
    """Folders of the control groups of this process, of both versions, that are to be seen from here."""
    folders = [CGROUPS, CGROUPS / controller]
    for line in OWN_CGROUP.read_text().splitlines() if OWN_CGROUP.exists() else []:
        _, names, path = line.split(":", 2)
        if not names:
            folders.append(CGROUPS / path.lstrip("/"))
        elif controller in names.split(","):
            folders.append(CGROUPS / controller / path.lstrip("/"))
    return [folder for folder in dict.fromkeys(folders) if folder.is_dir()]


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []


def _number(file: Path) -> float | None:
    words = _words(file)
    return float(words[0]) if len(words) == 1 and words[0].lstrip("-").isdigit() else None
