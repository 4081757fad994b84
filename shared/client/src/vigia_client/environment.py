"""Where Vigia is: from the environment, or from the client.env that the stack wrote."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vigia_client.errors import ActionableError
from vigia_client.service_model import data_path

CLIENT_ENV = Path(".vigia") / "client.env"


class NotConfiguredError(ActionableError):
    """A variable that is needed is nowhere to be found; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Environment:
    """Addresses and keys of an installation. ``origin`` says where they come from."""

    values: Mapping[str, str]
    origin: str

    def get(self, name: str) -> str | None:
        """A variable, None when it is not set or empty."""
        return self.values.get(name) or None

    def need(self, name: str) -> str:
        """A variable; NotConfiguredError when it is not set."""
        value = self.get(name)
        if value is None:
            raise NotConfiguredError(
                f"{name} is not set. Run this where .vigia/client.env is, or load it first: "
                "set -a; . .vigia/client.env; set +a"
            )
        return value

    def export(self) -> None:
        """Put the variables into this process's environment, where boto3 looks for them."""
        os.environ.update({name: value for name, value in self.values.items() if value})
        os.environ.setdefault("AWS_DATA_PATH", str(data_path()))


def parse(text: str) -> dict[str, str]:
    """The assignments of a shell file of `NAME=value` lines, quoted or not."""
    values = {}
    for line in text.splitlines():
        words = shlex.split(line.removeprefix("export "), comments=True)
        name, sign, value = words[0].partition("=") if words else ("", "", "")
        if sign and name.isidentifier():
            values[name] = value
    return values


def find(start: Path | None = None) -> Environment:
    """The environment if it names a Vigia, else the nearest client.env in this folder or one above it."""
    names = {name: value for name, value in os.environ.items() if name.startswith(("VIGIA_", "AWS_"))}
    if names.get("VIGIA_URL"):
        return Environment(names, "environment")
    folder = (start or Path.cwd()).resolve()
    for place in (folder, *folder.parents):
        file = place / CLIENT_ENV
        if file.is_file():
            # Vigia's own variables may be set anew for one command; AWS keys of the shell belong to another cloud.
            own = {name: value for name, value in names.items() if name.startswith("VIGIA_")}
            return Environment(parse(file.read_text()) | own, str(file))
    return Environment(names, "environment")
