"""Prometheus, reading the side doors of Vigia's services and Triton's metrics."""

from __future__ import annotations

from collections.abc import Mapping

import httpx
import yaml

from vigia_stack.errors import NotReady
from vigia_stack.parts.base import Part, plain_environment
from vigia_stack.process import Command
from vigia_stack.site import Site
from vigia_stack.supplies.debian import program


class PrometheusPart(Part):
    """Ready when it has scraped itself. `targets`: job name to the names of the ports that it reads."""

    def __init__(self, site: Site, targets: Mapping[str, tuple[str, ...]]) -> None:
        super().__init__(site, "prometheus", ports=("prometheus",))
        self._targets = targets
        self._program = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port('prometheus')}"

    def prepare(self) -> None:
        self._program = program("prometheus")
        jobs = {**self._targets, "prometheus": ("prometheus",)}
        text = yaml.safe_dump(
            {
                "global": {"scrape_interval": "2s", "scrape_timeout": "2s"},
                "scrape_configs": [
                    {"job_name": job, "static_configs": [self._target(name) for name in names]}
                    for job, names in jobs.items()
                ],
            },
            sort_keys=False,
        )
        self.site.conf("prometheus.yml").write_text(text)

    def _target(self, name: str) -> dict[str, object]:
        return {"targets": [f"127.0.0.1:{self.port(name)}"], "labels": {"process": name.removesuffix("-side")}}

    def command(self) -> Command:
        argv = [
            self._program,
            f"--config.file={self.site.conf('prometheus.yml')}",
            f"--storage.tsdb.path={self.site.data('prometheus')}",
            f"--web.listen-address=127.0.0.1:{self.port('prometheus')}",
            "--storage.tsdb.retention.time=15d",
            "--storage.tsdb.retention.size=2GB",
            "--log.level=warn",
        ]
        return Command(argv, plain_environment())

    def check(self) -> None:
        try:
            answer = httpx.get(f"{self.url}/api/v1/query", params={"query": 'up{job="prometheus"} == 1'}, timeout=3)
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise NotReady(str(error)) from error
        if not answer.json()["data"]["result"]:
            raise NotReady("it has scraped nothing yet")

    def address(self) -> str:
        return self.url
