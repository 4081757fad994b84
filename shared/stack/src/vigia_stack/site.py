"""One stack's place: its state folder, ports and secrets."""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
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

    def secret_file(self, name: str) -> Path:
        """File with a secret of 40 random digits and letters, made at the first call, readable by its owner only."""
        file = self._secrets() / name
        if not file.exists():
            made = self.write_secret(f".{name}.{os.getpid()}.{threading.get_ident()}", secrets.token_hex(20))
            with contextlib.suppress(FileExistsError):  # another thread or process was first: its value counts
                os.link(made, file)
            made.unlink()
        return file

    def secret(self, name: str) -> str:
        """A secret's value."""
        return self.secret_file(name).read_text()

    def keys(self) -> Path:
        """Folder of the named keys that seal models; its owner puts them there, a file ``<account>.<name>`` each."""
        folder = self.state / "keys"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def write_secret(self, name: str, value: str) -> Path:
        """Write a value that holds a secret among the secrets."""
        return self.write_private(self._secrets() / name, value)

    def write_private(self, file: Path, text: str) -> Path:
        """Write a file that only its owner can read, as a whole and only if it changes."""
        if not file.exists() or file.read_text() != text:
            temporary = file.with_name(f".{file.name}.{os.getpid()}.{threading.get_ident()}")
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
                out.write(text)
            temporary.replace(file)
        return file

    def _secrets(self) -> Path:
        folder = self.state / "secrets"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder
