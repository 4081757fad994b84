"""Vigia's own processes, as data: which command, which settings, which parts they need."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vigia_stack import paths
from vigia_stack.parts.base import plain_environment
from vigia_stack.parts.objects import REGION
from vigia_stack.site import Site

Group = Literal["kafka", "postgres", "objects", "triton", "registry", "bootstrap"]
ACCOUNT_ID = "123456789012"


@dataclass(frozen=True)
class Service:
    """One console script's settings: `groups` are the dependencies whose addresses it is given."""

    name: str
    groups: tuple[Group, ...]


@dataclass(frozen=True)
class ServiceProcess:
    """One process: subcommand of a service. `http`: it has a door of its own beside the one for health and metrics."""

    name: str
    service: Service
    subcommand: str
    http: bool
    needs: tuple[str, ...]

    @property
    def http_port(self) -> str:
        return f"{self.name}-http" if not self.name.endswith("-http") else self.name

    @property
    def side_port(self) -> str:
        return f"{self.name}-side"

    def argv(self) -> list[str]:
        return [paths.script(f"vigia-{self.service.name}"), self.subcommand]


REGISTRY = Service("registry", ("kafka", "postgres", "objects", "triton", "bootstrap"))
TRAINING = Service("training", ("kafka", "objects"))
DETECTION = Service("detection", ("kafka", "objects", "triton", "registry"))
INGESTION = Service("ingestion", ("kafka", "objects", "registry"))
AGGREGATOR = Service("aggregator", ("kafka", "postgres", "objects", "registry"))

# Nothing here needs registry's door to start: a service goes on, and starts, while it is away.
PROCESSES = (
    ServiceProcess("registry-http", REGISTRY, "http", True, ("topics", "buckets", "registry-migrate")),
    ServiceProcess("registry-worker", REGISTRY, "worker", False, ("topics", "buckets", "registry-migrate")),
    ServiceProcess("registry-hosting", REGISTRY, "hosting", False, ("topics", "buckets", "registry-migrate", "triton")),
    ServiceProcess("training", TRAINING, "worker", False, ("topics", "buckets")),
    ServiceProcess("detection-worker", DETECTION, "worker", False, ("topics", "buckets", "triton")),
    ServiceProcess("detection-http", DETECTION, "http", True, ("topics", "buckets", "triton")),
    ServiceProcess("ingestion", INGESTION, "worker", True, ("topics", "buckets")),
    ServiceProcess("aggregator-worker", AGGREGATOR, "worker", False, ("topics", "aggregator-migrate")),
    ServiceProcess("aggregator-http", AGGREGATOR, "http", True, ("buckets", "aggregator-migrate")),
)
UPSTREAMS = {
    "VIGIA_REGISTRY_UPSTREAM": "registry-http",
    "VIGIA_DETECTION_UPSTREAM": "detection-http",
    "VIGIA_AGGREGATOR_UPSTREAM": "aggregator-http",
    "VIGIA_INGESTION_UPSTREAM": "ingestion-http",
}
SCRAPED = {"vigia": tuple(process.side_port for process in PROCESSES), "triton": ("triton-metrics",)}
BUCKETS = ("vigia-artifacts", "vigia-evidence", "vigia-frames", "vigia-datasets")
USER_BUCKET = f"lookoutvision-{REGION}-vigia"


def environment(site: Site, service: Service) -> dict[str, str]:
    """A service's settings on this site. Secrets are given as files."""
    port = site.ports.get
    files = {name: str(site.secret_file(name)) for name in ("access-key-id", "secret-access-key", "internal-token")}
    groups: dict[Group, dict[str, str]] = {
        "kafka": {"KAFKA__BOOTSTRAP": f"127.0.0.1:{port('kafka')}"},
        "postgres": {"POSTGRES__URL_FILE": str(_postgres_url(site))},
        "objects": {
            "OBJECTS__ENDPOINT": f"http://127.0.0.1:{port('objects')}",
            "OBJECTS__REGION": REGION,
            "OBJECTS__ACCESS_KEY_ID_FILE": files["access-key-id"],
            "OBJECTS__SECRET_ACCESS_KEY_FILE": files["secret-access-key"],
            "OBJECTS__SEALING_KEY_FILE": str(site.secret_file("sealing-key")),
            "OBJECTS__KEYS_FOLDER": str(site.keys()),
        },
        "triton": {"TRITON__URLS": f"127.0.0.1:{port('triton-grpc')}"},
        "registry": {
            "REGISTRY__URL": f"http://127.0.0.1:{port('registry-http')}",
            "REGISTRY__TOKEN_FILE": files["internal-token"],
        },
        "bootstrap": {
            "BOOTSTRAP__ACCOUNT_ID": ACCOUNT_ID,
            "BOOTSTRAP__REGION": REGION,
            "BOOTSTRAP__ACCESS_KEY_ID_FILE": files["access-key-id"],
            "BOOTSTRAP__SECRET_ACCESS_KEY_FILE": files["secret-access-key"],
            "INTERNAL_TOKEN_FILE": files["internal-token"],
            "SECRET_KEY_FILE": str(site.secret_file("secret-key")),
        },
    }
    settings = {key: value for group in service.groups for key, value in groups[group].items()}
    prefix = f"VIGIA_{service.name.upper()}_"
    return {**plain_environment(), **{prefix + key: value for key, value in settings.items()}}


def _postgres_url(site: Site) -> Path:
    url = f"postgresql://vigia:{site.secret('postgres')}@127.0.0.1:{site.ports.get('postgres')}/vigia"
    return site.write_secret("postgres-url", url)


def process_environment(site: Site, process: ServiceProcess) -> dict[str, str]:
    """The same with the process's own doors."""
    prefix = f"VIGIA_{process.service.name.upper()}_"
    doors = {f"{prefix}SIDE__PORT": str(site.ports.get(process.side_port))}
    if process.http:
        doors[f"{prefix}HTTP__PORT"] = str(site.ports.get(process.http_port))
    return {**environment(site, process.service), **doors}
