"""The gateway: Caddy with the repository's Caddyfile; addresses come from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import httpx

from vigia_stack import paths
from vigia_stack.errors import NotReady
from vigia_stack.parts.base import Part, plain_environment
from vigia_stack.process import Command
from vigia_stack.site import Site
from vigia_stack.supplies.debian import program


class GatewayPart(Part):
    """Ready when it answers itself. `upstreams`: variable of the Caddyfile to the name of a port."""

    grace: ClassVar[float] = 10.0

    def __init__(self, site: Site, upstreams: Mapping[str, str]) -> None:
        super().__init__(site, "gateway", ports=("gateway",))
        self._upstreams = upstreams
        self._program = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port('gateway')}"

    def prepare(self) -> None:
        self._program = program("caddy")

    def command(self) -> Command:
        caddyfile = paths.repository() / "deploy" / "gateway" / "Caddyfile"
        home = self.site.data("gateway")
        environment = {
            **plain_environment(),
            "XDG_DATA_HOME": str(home),
            "XDG_CONFIG_HOME": str(home),
            "VIGIA_GATEWAY_ADDRESS": f":{self.port('gateway')}",
            "VIGIA_GATEWAY_BIND": "127.0.0.1",
            **{variable: f"127.0.0.1:{self.port(name)}" for variable, name in self._upstreams.items()},
        }
        return Command([self._program, "run", "--config", str(caddyfile), "--adapter", "caddyfile"], environment)

    def check(self) -> None:
        try:
            httpx.get(f"{self.url}/healthz", timeout=3).raise_for_status()
        except httpx.HTTPError as error:
            raise NotReady(str(error)) from error

    def address(self) -> str:
        return self.url
