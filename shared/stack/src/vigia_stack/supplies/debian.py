"""Programs from Debian's or Ubuntu's packages: the installed one, or one unpacked into the cache.

Unpacking needs no root and starts no system service, which installing these packages would.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from vigia_stack.errors import StackError
from vigia_stack.supplies.once import call, made_once


def program(name: str) -> str:
    """Path of the program of the package of the same name. Raises StackError where it cannot be had."""
    installed = shutil.which(name)
    if installed is not None:
        return installed
    return str(made_once(f"debian-{name}", lambda folder: _unpack(name, folder)) / "usr" / "bin" / name)


def _unpack(name: str, folder: Path) -> None:
    if shutil.which("apt-get") is None:
        raise StackError(f"{name} is not installed and this is no Debian or Ubuntu; install {name} and try again")
    call(["apt-get", "download", "-q", name], f"downloading the package {name}", cwd=folder)
    for package in folder.glob("*.deb"):
        call(["dpkg", "-x", str(package), str(folder)], f"unpacking {package.name}")
        package.unlink()
