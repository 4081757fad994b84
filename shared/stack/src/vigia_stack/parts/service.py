"""Vigia's own services as parts, and the steps that must come before them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import ClassVar

import httpx

from vigia_runtime.errors import Transient
from vigia_runtime.kafka.topics import ensure_topics
from vigia_runtime.settings import KafkaSettings
from vigia_stack import paths
from vigia_stack.errors import NotReady, StackError
from vigia_stack.parts.base import Part, Step
from vigia_stack.process import Command
from vigia_stack.services import Service, ServiceProcess, environment, process_environment
from vigia_stack.site import Site
from vigia_stack.supplies.once import call


class ServicePart(Part):
    """Ready when the process says so itself, which it does when its dependencies answer it."""

    grace: ClassVar[float] = 30.0  # services have 25 seconds to finish what they began

    def __init__(self, site: Site, process: ServiceProcess, settings: Mapping[str, str] | None = None) -> None:
        ports = (process.side_port, process.http_port) if process.http else (process.side_port,)
        super().__init__(site, process.name, needs=process.needs, ports=ports)
        self._process = process
        self._settings = settings or {}

    def command(self) -> Command:
        environment = {**process_environment(self.site, self._process), **self._settings}
        return Command(self._process.argv(), environment)

    def check(self) -> None:
        try:
            answer = httpx.get(f"http://127.0.0.1:{self.port(self._process.side_port)}/ready", timeout=3)
        except httpx.HTTPError as error:
            raise NotReady(str(error)) from error
        if answer.status_code != httpx.codes.OK:
            raise NotReady(answer.text[:500])

    def address(self) -> str:
        doors = [f"http://127.0.0.1:{self.port(name)}" for name in self.ports[::-1]]
        return doors[0] if len(doors) == 1 else f"{doors[0]}, side {self.port(self._process.side_port)}"


class Migrate(Step):
    """Brings a service's schema up to date with its `migrate` command."""

    def __init__(self, site: Site, service: Service, needs: tuple[str, ...]) -> None:
        super().__init__(site, f"{service.name}-migrate", needs)
        self._service = service

    def run(self) -> None:
        argv = [paths.script(f"vigia-{self._service.name}"), "migrate"]
        call(argv, f"migrating {self._service.name}", env=environment(self.site, self._service))


class Topics(Step):
    """Makes the topics of the contracts."""

    def __init__(self, site: Site) -> None:
        super().__init__(site, "topics", needs=("kafka",))

    def run(self) -> None:
        settings = KafkaSettings(bootstrap=f"127.0.0.1:{self.site.ports.get('kafka')}")
        try:
            asyncio.run(ensure_topics(settings))
        except Transient as error:
            raise StackError(str(error)) from error
