"""The gateway sends each request to the service that answers it."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from vigia_stack import paths
from vigia_stack.supplies.debian import program

SERVICES = ("registry", "detection", "aggregator", "ingestion")
DETECT = "/2020-11-20/projects/cookies/models/1/detect"


def upstream(name: str) -> ThreadingHTTPServer:
    """A service that answers its own name."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            answer = name if len(body) <= 1 else f"{name} {len(body)}"
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer.encode())

        do_GET = do_POST = answer  # noqa: N815 - the base class looks for these names

        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = str(tmp_path_factory.mktemp("gateway"))
    servers = {name: upstream(name) for name in SERVICES}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        "PATH": os.environ["PATH"],
        "XDG_DATA_HOME": home,
        "XDG_CONFIG_HOME": home,
        "VIGIA_GATEWAY_ADDRESS": f":{port}",
        "VIGIA_GATEWAY_BIND": "127.0.0.1",
        **{f"VIGIA_{name.upper()}_UPSTREAM": f"127.0.0.1:{server.server_port}" for name, server in servers.items()},
    }
    config = paths.repository() / "deploy" / "gateway" / "Caddyfile"
    command = [program("caddy"), "run", "--config", str(config), "--adapter", "caddyfile"]
    log = Path(home) / "log"
    with log.open("wb") as output:
        caddy = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 20
    while True:
        try:
            httpx.get(f"{url}/healthz", trust_env=False).raise_for_status()
            break
        except httpx.HTTPError:
            assert caddy.poll() is None, log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
    yield url
    caddy.terminate()
    caddy.wait(20)
    for server in servers.values():
        server.shutdown()
        server.server_close()


def signed_for(service: str) -> dict[str, str]:
    scope = f"AKIAEXAMPLE/20260101/us-east-1/{service}/aws4_request"
    return {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature={'0' * 64}"}


def asking(operation: str) -> dict[str, str]:
    return {"X-Amz-Target": f"RekognitionService.{operation}"}


@pytest.mark.parametrize(
    ("path", "headers", "service"),
    [
        ("/", signed_for("sts"), "registry"),
        ("/", signed_for("monitoring"), "aggregator"),
        ("/", signed_for("cloudtrail"), "aggregator"),
        ("/service/GraniteServiceVersion20100801/operation/GetMetricData", signed_for("monitoring"), "aggregator"),
        (DETECT, signed_for("lookoutvision"), "detection"),
        (DETECT, {}, "detection"),
        ("/2020-11-20/projects", signed_for("lookoutvision"), "registry"),
        ("/", asking("DetectCustomLabels"), "detection"),
        ("/", asking("DetectCustomLabels") | signed_for("rekognition"), "detection"),
        ("/", asking("DescribeProjectVersions") | signed_for("rekognition"), "registry"),
        ("/", asking("DetectFaces") | signed_for("rekognition"), "registry"),
        ("/", signed_for("rekognition"), "registry"),
        ("/api/v1/trends", signed_for("vigia"), "aggregator"),
        ("/api/v1/replay", signed_for("vigia"), "aggregator"),
        ("/api/v1/projects/cookies/models/1/thresholds", signed_for("vigia"), "registry"),
        ("/api/v1/frames/oven-1", {}, "ingestion"),
        ("/api/v1/iam/users", signed_for("vigia"), "registry"),
    ],
)
def test_every_request_finds_its_service(gateway: str, path: str, headers: dict[str, str], service: str) -> None:
    assert httpx.post(gateway + path, headers=headers, content=b"x", trust_env=False).text == service


@pytest.mark.parametrize(
    ("path", "headers", "size"),
    [(DETECT, signed_for("lookoutvision"), 8 * 1024**2), ("/", asking("DetectCustomLabels"), 20 * 1024**2)],
)
def test_the_largest_images_pass(gateway: str, path: str, headers: dict[str, str], size: int) -> None:
    """Whole, and larger ones too: how large an image may be is said by who answers, in its protocol."""
    answer = httpx.post(gateway + path, headers=headers, content=bytes(size), trust_env=False)
    assert answer.text == f"detection {size}"


def test_what_services_say_among_themselves_stays_inside(gateway: str) -> None:
    for headers in ({}, signed_for("sts"), {"Authorization": "Bearer token"}):
        answer = httpx.get(f"{gateway}/internal/v1/credentials/AKIAEXAMPLE", headers=headers, trust_env=False)
        assert answer.status_code == 404
