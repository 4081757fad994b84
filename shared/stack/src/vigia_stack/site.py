"""One stack's place: its state folder, ports and secrets."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from vigia_stack.ports import Ports


class Site:
    """Everything of a stack that outlives its processes.

    Layout of `state`: `data/<part>`, `log/<part>.log`, `run/<part>.pid`, `secrets/<name>`, `conf/`, `ports.json`.
    """

    def __init__(self, state: Path, *, well_known_ports: bool) -> None:
        self.state = state.absolute()
        self.state.mkdir(parents=True, exist_ok=True)
        self.ports = Ports(self.state / "ports.json", well_known=well_known_ports)

    def data(self, part: str) -> Path:
        """Data folder of a part (its parent exists, the folder itself may not)."""
        folder = self.state / "data"
        folder.mkdir(exist_ok=True)
        return folder / part

    def log(self, part: str) -> Path:
        return self.state / "log" / f"{part}.log"

    def pid_file(self, part: str) -> Path:
        return self.state / "run" / f"{part}.pid"

    def conf(self, name: str) -> Path:
        """Path of a generated configuration file; its folder exists."""
        folder = self.state / "conf"
        folder.mkdir(exist_ok=True)
        return folder / name

    def secret_file(self, name: str, make: str | None = None) -> Path:
        """File with a secret, written at the first call (`make`, or 40 random digits), for the owner only."""
        folder = self.state / "secrets"
        folder.mkdir(mode=0o700, exist_ok=True)
        file = folder / name
        if not file.exists():
            value = secrets.token_hex(20) if make is None else make
            temporary = folder / f".{name}.{os.getpid()}"
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "w") as out:
                out.write(value)
            temporary.replace(file)
        return file

    def secret(self, name: str) -> str:
        """A secret's value."""
        return self.secret_file(name).read_text()
