"""The side door: /live, /ready and /metrics, from a thread of its own."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import REGISTRY
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from vigia_runtime.health import Health
from vigia_runtime.settings import SideSettings


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], health: Health) -> None:
        self.health = health
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 10
    server_version = "vigia"
    sys_version = ""

    def do_GET(self) -> None:  # the name is the standard library's
        match self.path.partition("?")[0]:
            case "/live":
                self._health(*self.server.health.live())
            case "/ready":
                self._health(*self.server.health.ready())
            case "/metrics":
                self._send(200, CONTENT_TYPE_LATEST, generate_latest(REGISTRY))
            case _:
                self._send(404, "text/plain", b"/live /ready /metrics\n")

    def _health(self, good: bool, components: dict[str, object]) -> None:
        body = {
            "service": self.server.health.service,
            "status": "ok" if good else "failing",
            "components": components,
        }
        self._send(200 if good else 503, "application/json", json.dumps(body).encode() + b"\n")

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Probes and scrapes are not worth a log line."""


class SideServer:
    """Serves a process's health and metrics until closed. ``port`` is the real one where settings say 0."""

    def __init__(self, settings: SideSettings, health: Health) -> None:
        self._server = _Server((settings.host, settings.port), health)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="side door", daemon=True)

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=2)
