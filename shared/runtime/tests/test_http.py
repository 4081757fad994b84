"""The HTTP doors, on a real server: sign-in, errors, bounds, metrics, stopping."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from fastapi import Depends, FastAPI, Request
from pydantic import BaseModel, SecretStr

from vigia_runtime import metrics
from vigia_runtime.errors import Conflict, InvalidInput, LimitExceeded, Transient, Unavailable
from vigia_runtime.health import Health
from vigia_runtime.http import Body, create_app, read_body, receive_body, request_id, serve
from vigia_runtime.lifecycle import Lifecycle
from vigia_runtime.policies import allowing, canonical
from vigia_runtime.settings import HttpSettings, RegistrySettings
from vigia_runtime.signin import Authenticator, Credential, RegistryCredentials, region_of, signed_in

KEY = Credential(
    "AKIDEXAMPLE",
    "secret/with+signs",
    None,
    "123456789012",
    "arn:aws:iam::1:user/u",
    (
        allowing("vigia:Read*"),
        canonical(
            {
                "Statement": {
                    "Effect": "Deny",
                    "Action": "vigia:*",
                    "Resource": "arn:aws:vigia::123456789012:thing/secret*",
                }
            }
        ),
    ),
)


class Item(BaseModel):
    size: int


class Known:
    async def credential(self, access_key_id: str) -> Credential | None:
        return KEY if access_key_id == KEY.access_key_id else None

    async def used(self, credential: Credential, service: str) -> None:
        USES.append((credential.access_key_id, service))


USES: list[tuple[str, str]] = []

reader = signed_in(Authenticator(Known()), "vigia", "vigia:ReadThings")
one_reader = signed_in(Authenticator(Known()), "vigia", "vigia:ReadThings", "thing/{name}")
writer = signed_in(Authenticator(Known()), "vigia", "vigia:WriteThings")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def served(app: FastAPI, port: int | None = None) -> AsyncIterator[tuple[httpx.AsyncClient, Lifecycle]]:
    lifecycle = Lifecycle("test", Health("test"), budget_seconds=10)
    port = port or free_port()
    task = lifecycle.spawn("http", serve(app, HttpSettings(port=port), lifecycle))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=10) as client:
        async with asyncio.timeout(10):
            while True:
                try:
                    await client.get("/nowhere")
                    break
                except httpx.ConnectError:
                    await asyncio.sleep(0.02)
        yield client, lifecycle
        lifecycle.stop()
        await asyncio.wait_for(task, 15)


async def test_answers_are_not_held_back_for_acknowledgements() -> None:
    """Nagle's algorithm would keep a body back until the client has acknowledged the headers, 40 ms later."""
    port = free_port()
    async with served(sample_app(), port) as (client, _):
        await client.get("/nowhere")  # keeps a connection open
        assert accepted_without_delay(port) == [True]


def accepted_without_delay(port: int) -> list[bool]:
    """For each connection that this process has accepted on ``port``: whether it sends at once."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(int(descriptor.name))) as ours:
            if ours.family == socket.AF_INET and ours.getsockname()[1] == port and ours.getpeername():
                found.append(bool(ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))
    return found


def sample_app() -> FastAPI:
    app = create_app("sample", "1", max_body_bytes=1000)

    @app.get("/things/{name:path}")
    async def read(name: str, request: Request, caller: Annotated[Credential, Depends(reader)]) -> dict[str, str]:
        return {"name": name, "account": caller.account_id, "region": region_of(request, "none")}

    @app.get("/thing/{name}")
    async def one(name: str, caller: Annotated[Credential, Depends(one_reader)]) -> str:
        return name

    @app.post("/things/{name}")
    async def write(name: str, caller: Annotated[Credential, Depends(writer)]) -> None:
        raise AssertionError

    @app.post("/items")
    async def item(body: Item) -> int:
        return body.size

    @app.post("/small")
    async def small(request: Request) -> int:
        return len(await read_body(request, 10))

    @app.get("/fails/{kind}")
    async def fails(kind: str, request: Request) -> None:
        match kind:
            case "conflict":
                raise Conflict("in_use", "rtsp://u:hunter2@cam is in use", {"by": "oven-1"})
            case "away":
                raise Unavailable("no_model", "nothing serves")
            case "transient":
                raise Transient("postgres at postgresql://u:hunter2@h")
        raise ZeroDivisionError("hunter2")

    return app


def sign(method: str, url: str, body: bytes = b"") -> dict[str, str]:
    request = AWSRequest(method=method, url=url, data=body, headers={"Content-Type": "application/json"})
    SigV4Auth(Credentials(KEY.access_key_id, KEY.secret_access_key), "vigia", "eu-west-1").add_auth(request)
    return dict(request.headers.items())


async def test_signatures_and_basic_open_the_door_and_nothing_else_does() -> None:
    async with served(sample_app()) as (client, _):
        base = str(client.base_url).rstrip("/")
        path = "/things/arn%3Aaws%3Alookoutvision%3Aa%20b%2Fc?x=1&a=%2F"
        answer = await client.get(base + path, headers=sign("GET", base + path))
        assert answer.status_code == 200, answer.text
        assert answer.json() == {
            "name": "arn:aws:lookoutvision:a b/c",
            "account": "123456789012",
            "region": "eu-west-1",
        }
        basic = await client.get("/things/a", auth=(KEY.access_key_id, KEY.secret_access_key))
        assert (basic.status_code, basic.json()["region"]) == (200, "none")
        wrong = await client.get("/things/a", auth=(KEY.access_key_id, "guess"))
        assert wrong.status_code == 401
        assert "Basic" in wrong.headers["www-authenticate"]
        for bad in ("Basic", "Basic !!!", "Basic " + "eA=="):
            assert (await client.get("/things/a", headers={"authorization": bad})).status_code in (400, 401)
        unsigned = await client.get("/things/a")
        assert (unsigned.status_code, unsigned.json()["code"]) == (403, "MissingAuthenticationToken")
        forbidden = await client.post("/things/a", auth=(KEY.access_key_id, KEY.secret_access_key))
        assert (forbidden.status_code, forbidden.json()["code"]) == (403, "access_denied")
        assert forbidden.json()["detail"] == (
            "User: arn:aws:iam::1:user/u is not authorized to perform: vigia:WriteThings on resource: *"
        )


async def test_a_policy_may_name_things_and_uses_are_noted_once_proven() -> None:
    async with served(sample_app()) as (client, _):
        USES.clear()
        assert (await client.get("/thing/oven", auth=(KEY.access_key_id, "guess"))).status_code == 401
        assert USES == []
        auth = (KEY.access_key_id, KEY.secret_access_key)
        assert (await client.get("/thing/oven", auth=auth)).status_code == 200
        secret = await client.get("/thing/secret%2Doven", auth=auth)
        assert (secret.status_code, "thing/secret-oven" in secret.json()["detail"]) == (403, True)
        url = f"{str(client.base_url).rstrip('/')}/thing/oven"
        assert (await client.get(url, headers=sign("GET", url))).status_code == 200
        assert [(KEY.access_key_id, "vigia")] * 3 == USES


async def test_errors_are_problem_documents_without_secrets() -> None:
    async with served(sample_app()) as (client, _):
        expected = {
            "conflict": (409, "in_use"),
            "away": (503, "no_model"),
            "transient": (503, "unavailable"),
            "bug": (500, "internal"),
        }
        for kind, (status, code) in expected.items():
            answer = await client.get(f"/fails/{kind}")
            body = answer.json()
            assert (answer.status_code, body["status"], body["code"]) == (status, status, code)
            assert answer.headers["content-type"] == "application/problem+json"
            assert "hunter2" not in answer.text
            assert body["request_id"]
            assert kind == "bug" or answer.headers["x-request-id"] == body["request_id"]
        assert (await client.get("/nowhere")).json()["code"] == "not_found"
        assert (await client.put("/items")).json()["code"] == "method_not_allowed"
        invalid = await client.post("/items", json={"size": "large"})
        assert invalid.status_code == 400
        assert invalid.json()["details"]["problems"][0]["where"] == "body.size"


async def test_bodies_are_bounded_declared_or_not() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b'{"size": 1, "x": "' + b"x" * 500

    async with served(sample_app()) as (client, _):
        assert (await client.post("/small", content=b"x" * 10)).json() == 10
        for content in (b"x" * 11, chunks()):
            answer = await client.post("/small", content=content)
            assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
        for body in (b'{"size": 1, "x": "' + b"x" * 2000 + b'"}', chunks()):
            answer = await client.post("/items", content=body)
            assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


async def test_a_body_too_large_is_read_to_its_end_and_only_its_digest_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vigia_runtime.http.MOST_DROPPED", 40)

    async def received(*pieces: bytes, declared: str | None = None, breaks_off: bool = False) -> Body:
        last = {"type": "http.disconnect"} if breaks_off else {"type": "http.request", "body": b"", "more_body": False}
        messages = [*({"type": "http.request", "body": piece, "more_body": True} for piece in pieces), last]

        async def receive() -> Any:
            return messages.pop(0)

        headers = [] if declared is None else [(b"content-length", declared.encode())]
        return await receive_body(Request({"type": "http", "headers": headers}, receive), 20)

    def digest(data: bytes) -> str:
        return hashlib.sha256(data).hexdigest()

    whole = await received(b"x" * 8, b"y" * 12)
    assert (whole.whole(), whole.digest, whole.size) == (b"x" * 8 + b"y" * 12, digest(whole.data), 20)
    large = await received(b"x" * 15, b"y" * 6, b"z" * 19)
    assert (large.data, large.digest, large.size) == (b"", digest(b"x" * 15 + b"y" * 6 + b"z" * 19), 40)
    for endless in (await received(b"x" * 15, b"y" * 26, b"z"), await received(declared="41")):
        assert (endless.data, endless.digest) == (b"", None)
        with pytest.raises(LimitExceeded, match="larger than 20 bytes"):
            endless.whole()
    broken = await received(b"x" * 8, breaks_off=True)
    assert (broken.data, broken.digest, broken.size) == (b"", None, 8)
    with pytest.raises(InvalidInput, match="ended before its body"):
        broken.whole()


async def test_metrics_have_the_route_and_never_the_path() -> None:
    def count(route: str, status: str, method: str = "GET") -> float:
        return metrics.HTTP_REQUESTS.labels("sample", method, route, status)._value.get()

    async with served(sample_app()) as (client, _):
        before = count("/fails/{kind}", "409"), count("unmatched", "404"), count("unmatched", "405", "other")
        await client.get("/fails/conflict")
        await client.get("/secret-path-1")
        await client.request("BREW", "/fails/conflict")
        labels = {sample.labels.get("route") for metric in metrics.HTTP_REQUESTS.collect() for sample in metric.samples}
        assert count("/fails/{kind}", "409") == before[0] + 1
        assert count("unmatched", "404") == before[1] + 1
        assert "/secret-path-1" not in labels
        assert "BREW" not in str(list(metrics.HTTP_REQUESTS.collect()))


async def test_a_stop_answers_what_is_in_flight_and_takes_nothing_new() -> None:
    app = create_app("slow", "1")
    inside, release = asyncio.Event(), asyncio.Event()

    @app.get("/slow")
    async def slow() -> str:
        inside.set()
        await release.wait()
        return "done"

    async with served(app) as (client, lifecycle):
        request = asyncio.create_task(client.get("/slow"))
        await asyncio.wait_for(inside.wait(), 10)
        lifecycle.stop()
        async with httpx.AsyncClient(base_url=client.base_url, trust_env=False) as other, asyncio.timeout(10):
            while True:
                try:
                    await other.get("/nowhere")
                except httpx.TransportError:
                    break
                await asyncio.sleep(0.02)
        release.set()
        assert (await request).json() == "done"


async def test_a_port_in_use_ends_the_process_with_an_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        lifecycle = Lifecycle("test", Health("test"))
        with pytest.raises(OSError):
            await serve(create_app("x", "1"), HttpSettings(port=taken.getsockname()[1]), lifecycle)


async def test_credentials_are_cached_and_outlive_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    app = create_app("registry", "1")
    asked: list[str] = []
    uses: list[tuple[str, str]] = []
    noted = asyncio.Event()
    secret = "first"

    @app.get("/internal/v1/credentials/{access_key_id}")
    async def credential(access_key_id: str, request: Request) -> Any:
        assert request.headers["authorization"] == "Bearer inside"
        assert request_id(request)
        asked.append(access_key_id)
        if access_key_id != "AKID":
            from vigia_runtime.errors import NotFound

            raise NotFound("no_credential", "no such key")
        return {
            "access_key_id": "AKID",
            "secret_access_key": secret,
            "account_id": "123456789012",
            "principal_arn": "arn:x",
            "policies": [allowing("lookoutvision:*")],
            "principal_id": "AIDAX",
        }

    @app.post("/internal/v1/credentials/{access_key_id}/uses")
    async def use(access_key_id: str, request: Request) -> None:
        assert request.headers["authorization"] == "Bearer inside"
        uses.append((access_key_id, (await request.json())["service"]))
        noted.set()

    port = free_port()
    credentials = RegistryCredentials(RegistrySettings(url=f"http://127.0.0.1:{port}", token=SecretStr("inside")))
    with pytest.raises(Unavailable):
        await credentials.credential("AKID")
    async with served(app, port):
        for _ in range(3):
            found = await credentials.credential("AKID")
            assert found is not None
            assert found.policies == (allowing("lookoutvision:*"),)
            await credentials.used(found, "lookoutvision")
        assert await credentials.credential("NOBODY") is None
        assert await credentials.credential("NOBODY") is None
        assert asked == ["AKID", "NOBODY"]
        await asyncio.wait_for(noted.wait(), 10)
        await credentials.used(replace(found, access_key_id="ASIA", session_token="t"), "lookoutvision")
        secret = "second"
        monkeypatch.setattr("vigia_runtime.signin.FRESH_SECONDS", 0)
        renewed = await credentials.credential("AKID")
        assert renewed is not None
        assert renewed.secret_access_key == "second"
        # Whoever guesses keys makes nobody's forgotten.
        monkeypatch.setattr("vigia_runtime.signin.MAX_CACHED", 3)
        for number in range(5):
            assert await credentials.credential(f"GUESS{number}") is None
    assert uses == [("AKID", "lookoutvision")]
    # A registry that is away neither delays a request nor fails it.
    await credentials.used(replace(found, access_key_id="AKID2"), "lookoutvision")
    stale = await credentials.credential("AKID")
    assert stale == renewed
    with pytest.raises(Unavailable):
        await credentials.credential("UNKNOWN")
    await credentials.close()
