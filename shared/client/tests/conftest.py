"""A door that answers what a test tells it to, and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

KEY, SECRET, REGION = "AKIDEXAMPLE", "a secret", "eu-west-1"


@dataclass
class Asked:
    """One request as it came."""

    method: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    body: bytes


@dataclass
class DoorStub:
    """``answers`` maps "METHOD /path" to (status, JSON), or to a list of them given out one by one."""

    url: str = ""
    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def answer(self, method: str, path: str) -> tuple[int, Any]:
        known = self.answers.get(f"{method} {path}", (404, {"code": "not_found", "detail": "no such thing"}))
        return known.pop(0) if isinstance(known, list) else known  # type: ignore[no-any-return]


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Iterator[DoorStub]:
    """The door, with the environment pointing at it."""
    stub = DoorStub()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            path, _, query = self.path.partition("?")
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            stub.asked.append(Asked(self.command, path, query, list(self.headers.items()), body))
            status, told = stub.answer(self.command, path)
            data = b"" if told is None else json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = do_PUT = answer  # noqa: N815 - the base class looks for these names

        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stub.url = f"http://127.0.0.1:{server.server_port}"
    for name, value in {
        "VIGIA_URL": stub.url,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": REGION,
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_REGION", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    yield stub
    server.shutdown()
    server.server_close()
