"""A caller of the detecting operations that costs next to nothing: requests signed beforehand, over plain connections.

An SDK takes several milliseconds of a core for each call, which on a small machine is taken from what is measured.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from vigia_stack.parts.objects import ObjectStoreAddress


def signed(url: str, keys: ObjectStoreAddress, project: str, images: Sequence[bytes]) -> list[bytes]:
    """DetectAnomalies: one whole HTTP/1.1 request for each image, valid for five minutes."""
    path, headers = f"/2020-11-20/projects/{project}/models/1/detect", {"content-type": "image/jpeg"}
    return [_signed(url + path, keys, "lookoutvision", headers, image) for image in images]


def signed_labels(url: str, keys: ObjectStoreAddress, arn: str, images: Sequence[bytes]) -> list[bytes]:
    """As ``signed``, DetectCustomLabels."""
    headers = {
        "content-type": "application/x-amz-json-1.1",
        "x-amz-target": "RekognitionService.DetectCustomLabels",
    }
    bodies = [
        json.dumps({"ProjectVersionArn": arn, "Image": {"Bytes": base64.b64encode(image).decode()}}).encode()
        for image in images
    ]
    return [_signed(f"{url}/", keys, "rekognition", headers, body) for body in bodies]


def _signed(url: str, keys: ObjectStoreAddress, service: str, headers: Mapping[str, str], body: bytes) -> bytes:
    place = urlsplit(url)
    request = AWSRequest("POST", url, data=body, headers=dict(headers))
    SigV4Auth(Credentials(keys.access_key_id, keys.secret_access_key), service, keys.region).add_auth(request)
    given = {**dict(request.headers), "Host": place.netloc, "Content-Length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"POST {place.path} HTTP/1.1\r\n{head}\r\n".encode() + body


class Callers:
    """Connections to one address. Every answer must be a 200; AssertionError with what came instead."""

    def __init__(self, url: str) -> None:
        place = urlsplit(url)
        assert place.hostname is not None
        assert place.port is not None
        self._address = (place.hostname, place.port)
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def call(self, request: bytes, began: float) -> float:
        """Sends a request; milliseconds from ``began`` (monotonic) until the whole answer is there."""
        connection = self._free.pop() if self._free else await asyncio.open_connection(*self._address)
        reader, writer = connection
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        body = await reader.readexactly(length)
        assert head.startswith(b"HTTP/1.1 200"), (head, body)
        self._free.append(connection)
        return (time.monotonic() - began) * 1000

    async def in_turns(self, requests: Sequence[bytes], callers: int, seconds: float) -> tuple[list[float], float]:
        """``callers`` ask one thing after the other for ``seconds``: latencies in ms, and answers a second."""
        taken: list[float] = []
        began = time.monotonic()

        async def one(number: int) -> None:
            while time.monotonic() < began + seconds:
                taken.append(await self.call(requests[number % len(requests)], time.monotonic()))
                number += callers

        await asyncio.gather(*(one(number) for number in range(callers)))
        return taken, len(taken) / (time.monotonic() - began)

    async def at_rate(self, requests: Sequence[bytes], rate: float, seconds: float) -> list[float]:
        """``rate`` requests a second, whatever the answers take: latencies in ms, from when each was due."""
        began = time.monotonic()
        calls = []
        for number in range(int(rate * seconds)):
            due = began + number / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            calls.append(asyncio.create_task(self.call(requests[number % len(requests)], due)))
        return list(await asyncio.gather(*calls))
